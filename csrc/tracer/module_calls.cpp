#include "tracer/module_calls.hpp"

#include "tracer/names.hpp"
#include "tracer/patches.hpp"

namespace bopscount::tracer {

PyObject *ModuleCalls::call(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                            PyObject *keywords) {
  const std::int32_t index = tree_.find(module);
  if (index < 0) {
    // Made during the forward and not part of the model: its ops belong to the caller.
    const Arguments given(args, n_args, keywords);
    return call_untraced(module, given.positional.get(), given.named.get());
  }
  Node &node = tree_[index];
  ++node.calls;
  if (node.rule != nullptr && !node.is_hooked() && n_args == 1 && keywords == nullptr) {
    PyObject *output = call_leaf(node, index, args[0]);
    if (output != nullptr || PyErr_Occurred()) return output;
  }
  return enter(node, index, args, n_args, keywords);
}

/// Return a leaf's output by its rule; null without an error if the rule is not certain.
PyObject *ModuleCalls::call_leaf(Node &node, std::int32_t index, PyObject *input) {
  Value value;
  if (!seen_.look(input, value)) return nullptr;
  if (!real_) return leaves_.answer_module(node, index, value) ? seen_.tensor_of(value) : nullptr;

  const Recording::Slot slot = value.slot;
  if (!leaves_.answer_module(node, index, value)) return nullptr;
  const auto at = static_cast<std::int32_t>(recorder_.size()) - 1;
  // With the function modes off, nothing inside the forward is recorded a second time.
  const FunctionModesOff off(modes_);
  PyObject *output = call_forward(node, &input, 1, nullptr);
  if (output == nullptr) {
    note_failure(index, &input, 1, nullptr);
    return nullptr;
  }
  if (output == input && slot != Recording::no_slot)
    recorder_.recording().write(slot, at);
  else
    seen_.add(output, value.slot);
  return output;
}

/// Run nn.Sequential's forward. No tensor is made between two leaves with rules.
PyObject *ModuleCalls::call_children(const Node &node, PyObject *input) {
  PyObject *modules = item(node.dict, names().modules);
  std::vector<Ref> children;
  PyObject *key, *child;
  Py_ssize_t position = 0;
  while (PyDict_Next(modules, &position, &key, &child)) children.push_back(Ref::borrow(child));
  Value value;
  bool known = seen_.look(input, value);
  Ref current = Ref::borrow(input); // the tensor of `value`, or null
  for (const Ref &module : children) {
    const std::int32_t index = known ? tree_.find(module.get()) : -1;
    if (index >= 0) {
      Node &at = tree_[index];
      if (at.rule != nullptr && !at.is_hooked() && at.plain_call) {
        if (leaves_.answer_module(at, index, value)) {
          ++at.calls;
          if (value.tensor == nullptr) current = Ref();
          continue;
        }
        if (PyErr_Occurred()) return nullptr;
      }
    }
    if (!current) current = Ref(seen_.tensor_of(value));
    current = Ref(PyObject_CallOneArg(module.get(), current.get()));
    if (!current) return nullptr;
    known = seen_.look(current.get(), value = Value());
  }
  return current ? current.release() : seen_.tensor_of(value);
}

PyObject *ModuleCalls::call_forward(const Node &node, PyObject *const *args, Py_ssize_t n_args,
                                    PyObject *keywords) {
  if (node.sequential && node.plain_call && !node.is_hooked() && !real_ && n_args == 1 &&
      keywords == nullptr)
    return call_children(node, args[0]);
  // torch calls hooks, and a __call__ of the class's own ends in torch's. Without either, the
  // forward can be called directly.
  if (node.is_hooked() || !node.plain_call) {
    const Arguments given(args, n_args, keywords);
    return call_untraced(node.module.get(), given.positional.get(), given.named.get());
  }
  const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  std::vector<PyObject *> all{node.module.get()};
  all.insert(all.end(), args, args + n_args + n_keywords);
  const auto n_all = static_cast<std::size_t>(n_args + 1);
  return PyObject_VectorcallMethod(names().forward, all.data(), n_all, keywords);
}

/// Run a module's rule in Python, or its forward, in a frame of its own.
PyObject *ModuleCalls::enter(Node &node, std::int32_t index, PyObject *const *args,
                             Py_ssize_t n_args, PyObject *keywords) {
  const std::size_t mark = recorder_.size();
  // Leaving the frame also drops those above it, of forwards that raised and were caught.
  const Recorder::Frame frame(recorder_, index);
  PyObject *output = nullptr;
  if (node.python_rule != nullptr && !node.is_hooked() && !is_transformed()) {
    const Arguments given(args, n_args, keywords);
    const FunctionModesOff off(modes_);
    output = PyObject_CallFunctionObjArgs(node.python_rule, node.module.get(),
                                          given.positional.get(), given.named.get(), nullptr);
    if (output == Py_NotImplemented) {
      Py_DECREF(output);
      output = nullptr;
    }
  }
  if (output == nullptr && !PyErr_Occurred()) output = call_forward(node, args, n_args, keywords);
  if (output != nullptr && node.leaf && !after_leaf(node, mark, args, n_args, keywords, output)) {
    Py_DECREF(output);
    output = nullptr;
  }
  if (output == nullptr) note_failure(index, args, n_args, keywords);
  return output;
}

/// Let Python see a leaf's records if it is registered or has none. False with an error set.
bool ModuleCalls::after_leaf(const Node &node, std::size_t mark, PyObject *const *args,
                             Py_ssize_t n_args, PyObject *keywords, PyObject *output) {
  if (!node.registered && recorder_.size() != mark) return true;
  Value in, out;
  if (!node.registered && n_args == 1 && keywords == nullptr &&
      Py_TYPE(args[0]) == torch().tensor && Py_TYPE(output) == torch().tensor &&
      seen_.look(args[0], in) && seen_.look(output, out)) {
    Layer layer;
    layer.kind = static_cast<std::uint16_t>(Kind::identity);
    layer.flags = flag_unmoved;
    recorder_.describe(layer, &in, 1, out.form, 1, true);
    recorder_.put(
        output, out.slot,
        recorder_.add(layer, node.class_name, in.form->dims, out.form->dims, &in.slot, 1, 1));
    return true;
  }
  const Py_ssize_t n_all = n_args + (keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords));
  const Arguments given(args, n_all, nullptr);
  const FunctionModesOff off(modes_);
  return host_.rewrite(node.module.get(), mark, given.positional.get(), output);
}

/// Keep which module raised an error first; it then passes through all modules above.
void ModuleCalls::note_failure(std::int32_t index, PyObject *const *args, Py_ssize_t n_args,
                               PyObject *keywords) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (value != failed_error_.get()) {
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    const FunctionModesOff off(modes_);
    py::list shapes;
    for (Py_ssize_t i = 0; i < n_args + n_keywords; ++i) {
      const Ref shape(PyObject_GetAttr(args[i], names().shape));
      if (shape && PyTuple_Check(shape.get()))
        shapes.append(py::reinterpret_borrow<py::object>(shape.get()));
      PyErr_Clear();
    }
    failure_ = Ref(py::make_tuple(index, shapes).release().ptr());
    failed_error_ = Ref::borrow(value);
  }
  PyErr_Restore(type, value, traceback);
}

py::object ModuleCalls::failure() const {
  return failure_ ? py::reinterpret_borrow<py::object>(failure_.get()) : py::none();
}

} // namespace bopscount::tracer
