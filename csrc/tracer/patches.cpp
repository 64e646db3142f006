#include "tracer/patches.hpp"

#include <unordered_map>

#include "tracer/names.hpp"
#include "tracer/tracer.hpp"

namespace bopscount::tracer {
namespace {

/// Slots of a module class outside traces.
struct Slots {
  ternaryfunc call;
  getattrofunc get;
};

// A slot function gets no argument that says which trace it serves. So this is process-wide, as
// the slots are, and filled only while a trace runs; guarded by the GIL.
std::unordered_map<PyTypeObject *, Slots> original_slots;

PyObject *traced_call(PyObject *module, PyObject *args, PyObject *keywords) {
  return guarded([&]() -> PyObject * {
    Tracer *const tracer = tracer_here();
    if (tracer == nullptr) return call_untraced(module, args, keywords);
    PyObject *const *positional = &PyTuple_GET_ITEM(args, 0);
    const Py_ssize_t n_args = PyTuple_GET_SIZE(args);
    if (keywords == nullptr || PyDict_GET_SIZE(keywords) == 0)
      return tracer->calls().call(module, positional, n_args, nullptr);
    std::vector<PyObject *> all(positional, positional + n_args);
    const Ref names(PyTuple_New(PyDict_GET_SIZE(keywords)));
    PyObject *name, *value;
    Py_ssize_t position = 0;
    for (Py_ssize_t i = 0; PyDict_Next(keywords, &position, &name, &value); ++i) {
      PyTuple_SET_ITEM(names.get(), i, Py_NewRef(name));
      all.push_back(value);
    }
    return tracer->calls().call(module, all.data(), n_args, names.get());
  });
}

PyObject *traced_get(PyObject *module, PyObject *name) {
  // Python would first raise an error, and then call nn.Module.__getattr__.
  if (const Tracer *tracer = tracer_here())
    if (PyObject *held = tracer->tree().held(module, name)) return held;
  return original_slots.at(Py_TYPE(module)).get(module, name);
}

long length_of(const char *function) {
  const Ref result = call_torch(function);
  return result ? PyLong_AsLong(result.get()) : 0;
}

} // namespace

void ClassSlots::set(PyTypeObject *type) {
  if (type->tp_call == &traced_call) return; // by a trace around this one
  types_.push_back(Ref::borrow(reinterpret_cast<PyObject *>(type)));
  original_slots[type] = {type->tp_call, type->tp_getattro};
  type->tp_call = &traced_call;
  if (type->tp_getattro == torch().module->tp_getattro &&
      _PyType_Lookup(type, names().getattr) == torch().module_getattr)
    type->tp_getattro = &traced_get;
}

ClassSlots::~ClassSlots() {
  for (const Ref &each : types_) {
    auto *const type = reinterpret_cast<PyTypeObject *>(each.get());
    // A slot that is no longer ours was set anew by somebody who assigned __call__ meanwhile.
    const Slots &original = original_slots.at(type);
    if (type->tp_call == &traced_call) type->tp_call = original.call;
    if (type->tp_getattro == &traced_get) type->tp_getattro = original.get;
    original_slots.erase(type);
  }
}

PyObject *call_untraced(PyObject *module, PyObject *args, PyObject *keywords) {
  const auto original = original_slots.find(Py_TYPE(module));
  const ternaryfunc call =
      original == original_slots.end() ? Py_TYPE(module)->tp_call : original->second.call;
  return call(module, args, keywords);
}

void Patches::set(PyObject *object, PyObject *name, PyObject *value) {
  Ref before = checked(PyObject_GetAttr(object, name));
  patches_.push_back({object, name, std::move(before)});
  if (PyObject_SetAttr(object, name, value) != 0) {
    patches_.pop_back();
    throw py::error_already_set();
  }
}

Patches::~Patches() {
  for (auto patch = patches_.rbegin(); patch != patches_.rend(); ++patch)
    if (PyObject_SetAttr(patch->object, patch->name, patch->before.get()) != 0)
      PyErr_WriteUnraisable(patch->object);
}

GradMode::GradMode() : before_(call_torch("is_grad_enabled")) {}
GradMode::~GradMode() { call_torch("_set_grad_enabled", before_.get()); }

ModeStacks::ModeStacks(PyObject *function_mode)
    : n_functions_(length_of("_len_torch_function_stack")),
      n_dispatches_(length_of("_len_torch_dispatch_stack")) {
  call_torch("_push_on_torch_function_stack", function_mode);
}
ModeStacks::~ModeStacks() {
  // More than the added mode only if an interrupt came between a mode's entry and its exit.
  while (length_of("_len_torch_function_stack") > n_functions_)
    call_torch("_pop_torch_function_stack");
  while (length_of("_len_torch_dispatch_stack") > n_dispatches_)
    call_torch("_pop_torch_dispatch_stack", Py_None);
}

} // namespace bopscount::tracer
