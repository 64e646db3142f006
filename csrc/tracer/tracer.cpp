#include <optional>

#include "tracer/snapshot.hpp"
#include "tracer/tracer_detail.hpp"

namespace bopscount::bindings {
namespace {

/// The tracer that is active, in whichever thread; guarded by the GIL.
Tracer *active = nullptr;

} // namespace

const Torch &torch() {
  static const Torch found = [] {
    const auto get = [](const char *module, const char *name) {
      return py::object(py::module_::import(module).attr(name)).release().ptr();
    };
    return Torch{
        reinterpret_cast<PyTypeObject *>(get("torch", "Tensor")),
        reinterpret_cast<PyTypeObject *>(get("torch.nn", "Parameter")),
        reinterpret_cast<PyTypeObject *>(get("torch.nn", "Module")),
        reinterpret_cast<PyTypeObject *>(get("torch._C", "ScriptMethod")),
        get("torch", "empty"),
        py::object(py::module_::import("torch").attr("device")("meta")).release().ptr(),
        get("torch._C", "DisableTorchFunction"),
        py::object(py::module_::import("torch.nn").attr("Module").attr("__call__")).release().ptr(),
        py::object(py::module_::import("torch.nn").attr("Module").attr("__getattr__"))
            .release()
            .ptr(),
        py::make_tuple("dtype", "device").release().ptr(),
        get("torch._C._functorch", "peek_interpreter_stack"),
        get("torch", "Size"),
        get("torch.overrides", "handle_torch_function"),
        get("torch._C", "_len_torch_function_stack"),
        get("torch._C", "_is_torch_function_mode_enabled"),
        get("torch._C", "_pop_torch_function_stack"),
        get("torch._C", "_push_on_torch_function_stack")};
  }();
  return found;
}

Tracer::Tracer(py::object driver, bool real) : driver_(driver.release().ptr()), real_(real) {
  const Ref modes = checked(PyObject_CallNoArgs(torch().disable));
  modes_off_ = checked(PyObject_GetAttrString(modes.get(), "__enter__"));
  modes_on_ = checked(PyObject_GetAttrString(modes.get(), "__exit__"));
}

Tracer::~Tracer() {
  release();
  for (PyObject *op : ops_) Py_DECREF(op);
  for (Node &node : nodes_) Py_DECREF(node.module);
}

void Tracer::release() {
  for (PyObject *tensor : kept_) Py_DECREF(tensor);
  kept_.clear();
  seen_.clear();
  forms_.clear();
  for (Node &node : nodes_) {
    node.python_rule = node.class_name = nullptr;
    node.adapter_rule = Ref();
  }
  classes_.clear();
  driver_ = Ref();
  failed_error_ = Ref();
}

std::size_t Tracer::FormHash::operator()(const Form &key) const {
  std::size_t hash = reinterpret_cast<std::size_t>(key.dtype);
  for (const std::int64_t size : key.dims)
    hash = (hash ^ static_cast<std::size_t>(size)) * 0x9E3779B97F4A7C15ULL;
  return hash;
}

bool Tracer::is_mine() const { return thread_ == PyThread_get_thread_ident(); }

Tracer *tracer_here() { return active != nullptr && active->is_mine() ? active : nullptr; }

Tracer &active_tracer() {
  Tracer *const tracer = tracer_here();
  if (tracer == nullptr) throw std::runtime_error("no tracer is active in this thread");
  return *tracer;
}

namespace {

/// What module classes have in their slots when nobody traces.
struct Slots {
  ternaryfunc call;
  getattrofunc get;
};
std::unordered_map<PyTypeObject *, Slots> original_slots;

/// What they have while somebody does.
PyObject *traced_call(PyObject *module, PyObject *args, PyObject *keywords) {
  return guarded([&]() -> PyObject * {
    if (tracer_here() == nullptr) return call_as_ever(module, args, keywords);
    if (keywords == nullptr || PyDict_GET_SIZE(keywords) == 0)
      return active->call(module, &PyTuple_GET_ITEM(args, 0), PyTuple_GET_SIZE(args), nullptr);
    std::vector<PyObject *> all(&PyTuple_GET_ITEM(args, 0),
                                &PyTuple_GET_ITEM(args, 0) + PyTuple_GET_SIZE(args));
    const Ref names(PyTuple_New(PyDict_GET_SIZE(keywords)));
    PyObject *name, *value;
    Py_ssize_t position = 0;
    for (Py_ssize_t i = 0; PyDict_Next(keywords, &position, &name, &value); ++i) {
      Py_INCREF(name);
      PyTuple_SET_ITEM(names.get(), i, name);
      all.push_back(value);
    }
    return active->call(module, all.data(), PyTuple_GET_SIZE(args), names.get());
  });
}

PyObject *traced_get(PyObject *module, PyObject *name) {
  if (const Tracer *tracer = tracer_here())
    if (PyObject *held = tracer->held(module, name)) return held;
  return original_slots.at(Py_TYPE(module)).get(module, name);
}

/// Stands in for the calls of module classes for a scope, and for how they find the parameters
/// and modules that they hold, which Python would first raise an error for.
///
/// In the slots that Python goes through and not as attributes such as `__call__`: Python then
/// needs not forget what it has cached of each class, and other threads' lookups see nothing.
class ClassSlots {
public:
  ~ClassSlots() {
    for (PyTypeObject *type : types_) {
      // Somebody who has set __call__ meanwhile has set the slot anew.
      const Slots &original = original_slots.at(type);
      if (type->tp_call == &traced_call) type->tp_call = original.call;
      if (type->tp_getattro == &traced_get) type->tp_getattro = original.get;
      original_slots.erase(type);
      Py_DECREF(type);
    }
  }
  void set(PyTypeObject *type) {
    if (type->tp_call == &traced_call) return; // by a trace around this one
    types_.push_back(type);
    Py_INCREF(type);
    original_slots[type] = {type->tp_call, type->tp_getattro};
    type->tp_call = &traced_call;
    if (type->tp_getattro == torch().module->tp_getattro &&
        _PyType_Lookup(type, names().getattr) == torch().module_getattr)
      type->tp_getattro = &traced_get;
  }

private:
  std::vector<PyTypeObject *> types_;
};

/// Attributes that are put back at the end of a scope.
class Patches {
public:
  ~Patches() {
    for (auto patch = patches_.rbegin(); patch != patches_.rend(); ++patch)
      if (PyObject_SetAttr(patch->object, patch->name, patch->before.get()) != 0)
        PyErr_WriteUnraisable(patch->object);
  }
  void set(PyObject *object, PyObject *name, PyObject *value) {
    Ref before = checked(PyObject_GetAttr(object, name));
    patches_.push_back({object, name, std::move(before)});
    if (PyObject_SetAttr(object, name, value) != 0) {
      patches_.pop_back();
      throw py::error_already_set();
    }
  }

private:
  struct Patch {
    PyObject *object, *name; ///< outlive the scope
    Ref before;
  };
  std::vector<Patch> patches_;
};

/// Calls a function of torch._C; null and no error if it fails.
Ref call_torch(const char *name, PyObject *argument = nullptr) {
  static PyObject *const c = py::module_::import("torch._C").release().ptr();
  const Ref function(PyObject_GetAttrString(c, name));
  Ref result(argument == nullptr ? PyObject_CallNoArgs(function.get())
                                 : PyObject_CallOneArg(function.get(), argument));
  if (!result) PyErr_WriteUnraisable(function.get());
  return result;
}

/// Whether this thread records gradients; as before in the end.
class GradMode {
public:
  GradMode() : before_(call_torch("is_grad_enabled")) {}
  ~GradMode() { call_torch("_set_grad_enabled", before_.get()); }
  GradMode(const GradMode &) = delete;
  GradMode &operator=(const GradMode &) = delete;

private:
  Ref before_;
};

/// Torch's stacks of modes for a thread, with ours on top.
class Modes {
public:
  explicit Modes(PyObject *mode)
      : functions_(length("_len_torch_function_stack")),
        dispatches_(length("_len_torch_dispatch_stack")) {
    call_torch("_push_on_torch_function_stack", mode);
  }
  /// With ours, of functions.
  long n_functions() const { return functions_ + 1; }
  ~Modes() {
    // One more than ours only where an interrupt came between a mode and its end.
    while (length("_len_torch_function_stack") > functions_)
      call_torch("_pop_torch_function_stack");
    while (length("_len_torch_dispatch_stack") > dispatches_)
      call_torch("_pop_torch_dispatch_stack", Py_None);
  }
  Modes(const Modes &) = delete;
  Modes &operator=(const Modes &) = delete;

private:
  static long length(const char *name) {
    const Ref result = call_torch(name);
    return result ? PyLong_AsLong(result.get()) : 0;
  }

  long functions_, dispatches_;
};

} // namespace

PyObject *call_as_ever(PyObject *module, PyObject *args, PyObject *keywords) {
  const auto original = original_slots.find(Py_TYPE(module));
  const ternaryfunc call =
      original == original_slots.end() ? Py_TYPE(module)->tp_call : original->second.call;
  return call(module, args, keywords);
}

void Tracer::run(const py::object &model, const py::object &body, const py::object &tidy,
                 const py::object &mode, const py::list &patches, bool training) {
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  const GradMode grad_mode; // what tidies up may be interrupted in its midst too
  {
    Snapshot snapshot(model);
    ClassSlots slots;
    for (const auto &[cls, about] : classes_) slots.set(cls);
    Patches set;
    for (const py::handle patch : patches) {
      const auto part = py::reinterpret_borrow<py::tuple>(patch);
      set.set(PyTuple_GET_ITEM(part.ptr(), 0), PyTuple_GET_ITEM(part.ptr(), 1),
              PyTuple_GET_ITEM(part.ptr(), 2));
    }
    if (!training) snapshot.set_eval();
    call_torch("_set_grad_enabled", Py_False);
    const Modes modes(mode.ptr());
    n_function_modes_ = modes.n_functions();
    std::optional<DirectCalls> direct;
    if (!real_) direct.emplace();
    thread_ = PyThread_get_thread_ident();
    Tracer *const previous = active;
    active = this;
    // A trace makes many objects and no cycles of its own: nothing for the collector, which
    // is back when they are gone.
    const bool collects = !real_ && PyGC_Disable() != 0;
    const Ref result(PyObject_CallNoArgs(body.ptr()));
    PyErr_Fetch(&type, &value, &traceback);
    active = previous;
    release();
    snapshot.restore();
    if (collects) PyGC_Enable();
  }
  // Whoever interrupts once more does not keep things from being put back.
  for (int attempt = 0; attempt < 3; ++attempt) {
    const Ref result(PyObject_CallNoArgs(tidy.ptr()));
    if (result) break;
    if (type == nullptr)
      PyErr_Fetch(&type, &value, &traceback);
    else
      PyErr_Clear();
  }
  if (type == nullptr) return;
  PyErr_Restore(type, value, traceback);
  throw py::error_already_set();
}

void register_tracer(py::module_ &module) {
  py::list leaf_names;
  for (const LeafRule &rule : leaf_rules()) leaf_names.append(py::str(rule.name));
  module.attr("LEAF_RULES") = py::tuple(leaf_names);
  register_functions(module);
  py::class_<Tracer>(module, "Tracer", "Records one model in one thread.")
      .def(py::init<py::object, bool>(), py::arg("driver"), py::arg("real"))
      .def("walk", &Tracer::walk, py::arg("model"),
           "Lists the model's modules, parents before children.")
      .def("run", &Tracer::run, py::arg("model"), py::arg("body"), py::arg("tidy"), py::arg("mode"),
           py::arg("patches"), py::arg("training"),
           "Runs body() under the tracer, then, whatever happened, tidy().")
      .def("release", &Tracer::release)
      .def_property_readonly("node", &Tracer::node)
      .def("__len__", &Tracer::n_records)
      .def("input", &Tracer::input, py::arg("tensor"))
      .def_property_readonly("n_products", &Tracer::n_products)
      .def("another", &Tracer::another, py::arg("shape"), py::arg("dtype"))
      .def("set_bits", &Tracer::set_bits, py::arg("tensor"), py::arg("bits"))
      .def("bits_of", &Tracer::bits_of, py::arg("tensor"))
      .def("rewrite", &Tracer::rewrite, py::arg("mark"), py::arg("fields"))
      .def("producer_of", &Tracer::producer_of, py::arg("tensor"))
      .def("totals", &Tracer::totals, py::arg("rules") = "torchstat")
      .def("finish", &Tracer::finish)
      .def("failure", &Tracer::failure)
      .def("path", &Tracer::path, py::arg("node"));
}

} // namespace bopscount::bindings
