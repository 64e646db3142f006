// Calls of modules.
#include "tracer_detail.hpp"

namespace bopscount::bindings {

PyObject *Tracer::call(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                       PyObject *keywords) {
  const auto found = index_of_.find(module);
  if (found == index_of_.end()) {
    // Made during forward, not part of the model: what it runs is its caller's.
    std::vector<PyObject *> all{module};
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    all.insert(all.end(), args, args + n_args + n_keywords);
    return PyObject_Vectorcall(module_call_.get(), all.data(), static_cast<std::size_t>(n_args + 1),
                               keywords);
  }
  Node &node = nodes_[static_cast<std::size_t>(found->second)];
  ++node.calls;
  if (node.rule != nullptr && !node.hooked && n_args == 1 && keywords == nullptr) {
    PyObject *output = call_leaf(node, found->second, args[0]);
    if (output != nullptr || PyErr_Occurred()) return output;
  }
  return enter(node, found->second, args, n_args, keywords);
}

/// What a leaf rule says of `input`; false, with no error set, where it is not certain.
bool Tracer::ask(const LeafRule &rule, const LeafModule &view, PyObject *input, Dims &in,
                 Ref &out_dtype, LeafAnswer &answer) {
  const Ref size(PyObject_GetAttr(input, names().shape));
  Ref dtype(size ? PyObject_GetAttr(input, names().dtype) : nullptr);
  if (!dtype || !to_dims(size.get(), in)) {
    PyErr_Clear(); // no tensor, or of symbolic sizes
    return false;
  }
  const Dtype type = dtype_of(dtype.get());
  Layer &layer = answer.layer;
  layer.kind = static_cast<std::uint16_t>(rule.kind);
  const bool floats = rule.takes == Takes::floats;
  if ((floats && !type.floating) || (rule.takes == Takes::indices && !type.index) ||
      !rule.answer(rule, view, in, answer))
    return false;
  if (floats && view.weight_elements && view.weight_dtype != dtype.get())
    return false; // torch says what does not match, or casts
  if (answer.output == Output::of_weight) {
    Py_INCREF(view.weight_dtype);
    out_dtype = Ref(view.weight_dtype);
  } else {
    out_dtype = std::move(dtype);
  }
  layer.input_item_bytes = type.item_bytes;
  layer.input_bits = static_cast<std::uint8_t>(8 * type.item_bytes);
  layer.output_item_bytes = dtype_of(out_dtype.get()).item_bytes;
  layer.output_bits = static_cast<std::uint8_t>(8 * layer.output_item_bytes);
  return true;
}

/// The output tensor that an answer stands for; owned.
PyObject *Tracer::output_of(const LeafAnswer &answer, PyObject *input, PyObject *out_dtype,
                            std::int32_t record) {
  const Recording::Slot slot = slot_of(input);
  if (answer.output == Output::same) {
    if (slot != Recording::no_slot)
      recording_.write(slot, record);
    else
      own(input, recording_.new_slot(record));
    Py_INCREF(input);
    return input;
  }
  Ref output = make_tensor(answer.out, out_dtype);
  const bool keeps = answer.output == Output::view && slot != Recording::no_slot;
  own(output.get(), keeps ? slot : recording_.new_slot(record));
  return output.release();
}

/// The leaf's output by its rule; null without an error where the rule is not certain.
PyObject *Tracer::call_leaf(Node &node, std::int32_t index, PyObject *input) {
  const FunctionModesOff off(disable_.get());
  // Parameters that were swapped since the walk (functional_call), or a transform such as
  // vmap around the call: torch knows better.
  PyObject *parameters = item(node.dict, names().parameters);
  if (parameters != nullptr && (item(parameters, names().weight) != node.view.weight ||
                                item(parameters, names().bias) != node.view.bias))
    return nullptr;
  const Ref transform(PyObject_CallNoArgs(peek_transform_.get()));
  if (transform.get() != Py_None) return nullptr;
  LeafAnswer answer;
  Dims in;
  Ref out_dtype;
  if (!ask(*node.rule, node.view, input, in, out_dtype, answer)) return nullptr;

  const Recording::Slot slot = slot_of(input);
  frames_.push_back({index, recording_.size()});
  const Ref class_name(
      PyObject_GetAttrString(reinterpret_cast<PyObject *>(Py_TYPE(node.module)), "__name__"));
  const std::int32_t at = record(answer.layer, class_name.get(), in, answer.out, &slot, 1);
  frames_.pop_back();
  if (!real_) return output_of(answer, input, out_dtype.get(), at);

  // For real: the function modes are off, so nothing is recorded twice.
  PyObject *output = call_forward(node, &input, 1, nullptr);
  if (output == nullptr) {
    note_failure(index, &input, 1, nullptr);
    return nullptr;
  }
  const bool keeps = answer.output == Output::view && slot != Recording::no_slot;
  if (output == input && slot != Recording::no_slot)
    recording_.write(slot, at);
  else
    own(output, keeps ? slot : recording_.new_slot(at));
  return output;
}

py::object Tracer::answer(std::size_t rule, const py::str &op, const py::object &input,
                          const py::dict &attributes, const py::object &weight,
                          const py::object &bias) {
  LeafModule view;
  view.dict = attributes.ptr();
  const auto elements = [&](const py::object &parameter) -> std::int64_t {
    if (parameter.is_none()) return 0;
    const Ref dtype = checked(PyObject_GetAttr(parameter.ptr(), names().dtype));
    view.weight_dtype = dtype.get(); // torch keeps its dtypes
    view.weight_item_bytes = dtype_of(dtype.get()).item_bytes;
    return parameter.attr("numel")().cast<std::int64_t>();
  };
  view.bias_elements = elements(bias);
  view.weight_elements = elements(weight);
  LeafAnswer answer;
  Dims in;
  Ref out_dtype;
  if (!ask(leaf_rules()[rule], view, input.ptr(), in, out_dtype, answer)) return py::none();
  const Recording::Slot slot = slot_of(input.ptr());
  const std::int32_t at = record(answer.layer, op.ptr(), in, answer.out, &slot, 1);
  return py::reinterpret_steal<py::object>(output_of(answer, input.ptr(), out_dtype.get(), at));
}

PyObject *Tracer::call_forward(Node &node, PyObject *const *args, Py_ssize_t n_args,
                               PyObject *keywords) {
  const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  std::vector<PyObject *> all{node.module};
  all.insert(all.end(), args, args + n_args + n_keywords);
  const auto n_all = static_cast<std::size_t>(n_args + 1);
  // Hooks are torch's business; without any, its detour through them is saved.
  if (node.hooked) return PyObject_Vectorcall(module_call_.get(), all.data(), n_all, keywords);
  return PyObject_VectorcallMethod(names().forward, all.data(), n_all, keywords);
}

PyObject *Tracer::enter(Node &node, std::int32_t index, PyObject *const *args, Py_ssize_t n_args,
                        PyObject *keywords) {
  const std::size_t mark = recording_.size();
  frames_.push_back({index, mark});
  const std::size_t depth = frames_.size();
  PyObject *output = nullptr;
  if (node.python_rule != nullptr && !node.hooked) {
    const Ref given(PyTuple_New(n_args));
    for (Py_ssize_t i = 0; i < n_args; ++i) {
      Py_INCREF(args[i]);
      PyTuple_SET_ITEM(given.get(), i, args[i]);
    }
    const Ref named(PyDict_New());
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < n_keywords; ++i)
      PyDict_SetItem(named.get(), PyTuple_GET_ITEM(keywords, i), args[n_args + i]);
    const FunctionModesOff off(disable_.get());
    output = PyObject_CallFunctionObjArgs(node.python_rule, node.module, given.get(), named.get(),
                                          nullptr);
    if (output == Py_NotImplemented) {
      Py_DECREF(output);
      output = nullptr;
    }
  }
  if (output == nullptr && !PyErr_Occurred()) output = call_forward(node, args, n_args, keywords);
  if (output != nullptr && nodes_[static_cast<std::size_t>(index)].leaf &&
      !after_registered(index, mark, args, n_args, keywords, output)) {
    Py_DECREF(output);
    output = nullptr;
  }
  if (output == nullptr) note_failure(index, args, n_args, keywords);
  // What a forward raised and caught left frames above this one.
  frames_.resize(depth - 1);
  return output;
}

/// Lets Python look at a leaf's records: a registered class, or one without any.
bool Tracer::after_registered(std::int32_t index, std::size_t mark, PyObject *const *args,
                              Py_ssize_t n_args, PyObject *keywords, PyObject *output) {
  const Node &node = nodes_[static_cast<std::size_t>(index)];
  if (!node.registered && recording_.size() != mark) return true;
  const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  const Ref given(PyTuple_New(n_args + n_keywords));
  for (Py_ssize_t i = 0; i < n_args + n_keywords; ++i) {
    Py_INCREF(args[i]);
    PyTuple_SET_ITEM(given.get(), i, args[i]);
  }
  const FunctionModesOff off(disable_.get());
  const Ref number(PyLong_FromSize_t(mark));
  const Ref result(PyObject_CallFunctionObjArgs(rewrite_.get(), node.module, number.get(),
                                                given.get(), output, nullptr));
  return static_cast<bool>(result);
}

/// Keeps which module raised first: errors pass through all modules above it.
void Tracer::note_failure(std::int32_t index, PyObject *const *args, Py_ssize_t n_args,
                          PyObject *keywords) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (value != failed_error_.get()) {
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    const FunctionModesOff off(disable_.get());
    py::list shapes;
    for (Py_ssize_t i = 0; i < n_args + n_keywords; ++i) {
      const Ref shape(PyObject_GetAttr(args[i], names().shape));
      if (shape && PyTuple_Check(shape.get()))
        shapes.append(py::reinterpret_borrow<py::object>(shape.get()));
      PyErr_Clear();
    }
    failure_ = Ref(py::make_tuple(index, shapes).release().ptr());
    Py_XINCREF(value);
    failed_error_ = Ref(value);
  }
  PyErr_Restore(type, value, traceback);
}

py::object Tracer::failure() const {
  return failure_ ? py::reinterpret_borrow<py::object>(failure_.get()) : py::none();
}

} // namespace bopscount::bindings
