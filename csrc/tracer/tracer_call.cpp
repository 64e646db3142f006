// Calls of modules.
#include "tracer/tracer_detail.hpp"

namespace bopscount::bindings {
PyObject *Tracer::call(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                       PyObject *keywords) {
  const auto found = index_of_.find(module);
  if (found == index_of_.end()) {
    // Made during forward, not part of the model: what it runs is its caller's.
    const Arguments given(args, n_args, keywords);
    return call_as_ever(module, given.positional.get(), given.named.get());
  }
  Node &node = nodes_[static_cast<std::size_t>(found->second)];
  ++node.calls;
  if (node.rule != nullptr && !node.is_hooked() && n_args == 1 && keywords == nullptr) {
    PyObject *output = call_leaf(node, found->second, args[0]);
    if (output != nullptr || PyErr_Occurred()) return output;
  }
  return enter(node, found->second, args, n_args, keywords);
}

PyObject *Tracer::held(PyObject *module, PyObject *name) const {
  const auto found = index_of_.find(module);
  if (found == index_of_.end() || _PyType_Lookup(Py_TYPE(module), name) != nullptr) return nullptr;
  PyObject *const dict = nodes_[static_cast<std::size_t>(found->second)].dict;
  const bool own = item(dict, name) != nullptr;
  for (PyObject *kind : {names().parameters, names().buffers, names().modules}) {
    PyObject *const holder = own ? nullptr : item(dict, kind);
    if (holder == nullptr || !(PyDict_CheckExact(holder) || PyODict_CheckExact(holder))) break;
    if (PyObject *value = item(holder, name)) {
      Py_INCREF(value);
      return value;
    }
  }
  PyErr_Clear();
  return nullptr;
}

/// What is known of a tensor; false, with no error set, for what is none or has symbolic sizes.
bool Tracer::look(PyObject *tensor, Value &value) {
  value.tensor = tensor;
  const auto found = seen_.find(tensor);
  if (found != seen_.end()) {
    value.slot = found->second.slot;
    value.form = found->second.form;
    if (value.form != nullptr) return true;
  }
  const FunctionModesOff off(*this);
  const Ref size(PyObject_GetAttr(tensor, names().shape));
  const Ref dtype(size ? PyObject_GetAttr(tensor, names().dtype) : nullptr);
  Dims dims;
  if (!dtype || !to_dims(size.get(), dims)) {
    PyErr_Clear();
    return false;
  }
  value.form = form_of(dims, dtype.get());
  if (found != seen_.end()) found->second.form = value.form;
  return true;
}

/// What a leaf rule says of a tensor of such a form; false where it is not certain.
bool Tracer::ask(const LeafRule &rule, const LeafModule &view, const Form &in, const Form *&out,
                 LeafAnswer &answer) {
  const Dtype type = dtype_of(in.dtype);
  Layer &layer = answer.layer;
  layer.kind = static_cast<std::uint16_t>(rule.kind);
  const bool floats = rule.takes == Takes::floats;
  if ((floats && !type.floating) || (rule.takes == Takes::indices && !type.index) ||
      !rule.answer(rule, view, in.dims, answer))
    return false;
  if (floats && view.weight_elements && view.weight_dtype != in.dtype)
    return false; // torch says what does not match, or casts
  PyObject *out_dtype = answer.output == Output::of_weight ? view.weight_dtype : in.dtype;
  out = answer.output == Output::same ? &in : form_of(answer.out, out_dtype);
  layer.input_item_bytes = type.item_bytes;
  layer.input_bits = static_cast<std::uint8_t>(8 * type.item_bytes);
  layer.output_item_bytes = dtype_of(out_dtype).item_bytes;
  layer.output_bits = static_cast<std::uint8_t>(8 * layer.output_item_bytes);
  return true;
}

/// The output that an answer stands for; there is a tensor only where it is the input's.
Value Tracer::output_of(const LeafAnswer &answer, const Value &input, const Form *out,
                        std::int32_t record) {
  if (answer.output == Output::same) {
    Value same = input;
    if (same.slot == Recording::no_slot) {
      same.slot = recording_.new_slot(record);
      if (same.tensor != nullptr) own(same.tensor, same.slot, same.form);
    } else {
      recording_.write(same.slot, record);
    }
    return same;
  }
  const bool keeps = answer.output == Output::view && input.slot != Recording::no_slot;
  return {nullptr, out, keeps ? Recording::view_of(input.slot) : recording_.new_slot(record)};
}

/// The tensor of a value, made if there is none yet; owned.
PyObject *Tracer::tensor_of(const Value &value) {
  if (value.tensor != nullptr) {
    Py_INCREF(value.tensor);
    return value.tensor;
  }
  Ref tensor = make_tensor(value.form);
  own(tensor.get(), value.slot, value.form);
  return tensor.release();
}

/// Replaces a leaf's input by its output, recorded; false where its rule is not certain.
bool Tracer::answer_leaf(const Node &node, std::int32_t index, Value &value) {
  // Parameters that were swapped since the walk (functional_call), or a transform such as
  // vmap around the call: torch knows better.
  PyObject *parameters = item(node.dict, names().parameters);
  if (parameters != nullptr && (item(parameters, names().weight) != node.view.weight ||
                                item(parameters, names().bias) != node.view.bias))
    return false;
  if (is_transformed()) return false;
  LeafAnswer answer;
  const Form *out = nullptr;
  if (!ask(*node.rule, node.view, *value.form, out, answer)) return false;
  frames_.push_back({index, recording_.size()});
  const std::int32_t at =
      record(answer.layer, node.class_name, value.form->dims, answer.out, &value.slot, 1, 1);
  frames_.pop_back();
  value = output_of(answer, value, out, at);
  return true;
}

/// The leaf's output by its rule; null without an error where the rule is not certain.
PyObject *Tracer::call_leaf(Node &node, std::int32_t index, PyObject *input) {
  Value value;
  if (!look(input, value)) return nullptr;
  if (!real_) return answer_leaf(node, index, value) ? tensor_of(value) : nullptr;

  const Recording::Slot slot = value.slot;
  if (!answer_leaf(node, index, value)) return nullptr;
  const auto at = static_cast<std::int32_t>(recording_.size()) - 1;
  // For real: the function modes are off, so nothing is recorded twice.
  const FunctionModesOff off(*this);
  PyObject *output = call_forward(node, &input, 1, nullptr);
  if (output == nullptr) {
    note_failure(index, &input, 1, nullptr);
    return nullptr;
  }
  if (output == input && slot != Recording::no_slot)
    recording_.write(slot, at);
  else
    own(output, value.slot);
  return output;
}

/// nn.Sequential's forward. Between two leaves with rules nobody asks for a tensor.
PyObject *Tracer::call_children(const Node &node, PyObject *input) {
  PyObject *modules = item(node.dict, names().modules);
  std::vector<Ref> children;
  PyObject *key, *child;
  Py_ssize_t position = 0;
  while (PyDict_Next(modules, &position, &key, &child)) {
    Py_INCREF(child);
    children.emplace_back(child);
  }
  Value value;
  bool known = look(input, value);
  Py_INCREF(input);
  Ref current(input); // the tensor of `value`, or null
  for (const Ref &module : children) {
    const auto found = index_of_.find(module.get());
    if (known && found != index_of_.end()) {
      Node &at = nodes_[static_cast<std::size_t>(found->second)];
      if (at.rule != nullptr && !at.is_hooked() && at.plain_call) {
        if (answer_leaf(at, found->second, value)) {
          ++at.calls;
          if (value.tensor == nullptr) current = Ref();
          continue;
        }
        if (PyErr_Occurred()) return nullptr;
      }
    }
    if (!current) current = Ref(tensor_of(value));
    current = Ref(PyObject_CallOneArg(module.get(), current.get()));
    if (!current) return nullptr;
    known = look(current.get(), value = Value());
  }
  return current ? current.release() : tensor_of(value);
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
  Value value;
  const Form *out = nullptr;
  if (!look(input.ptr(), value) || !ask(leaf_rules()[rule], view, *value.form, out, answer))
    return py::none();
  const std::int32_t at =
      record(answer.layer, op.ptr(), value.form->dims, answer.out, &value.slot, 1, 1);
  return py::reinterpret_steal<py::object>(tensor_of(output_of(answer, value, out, at)));
}

PyObject *Tracer::call_forward(const Node &node, PyObject *const *args, Py_ssize_t n_args,
                               PyObject *keywords) {
  if (node.sequential && node.plain_call && !node.is_hooked() && !real_ && n_args == 1 &&
      keywords == nullptr)
    return call_children(node, args[0]);
  // Hooks are torch's business, and a __call__ of the class's own leads to torch's; without
  // any, the detour is saved.
  if (node.is_hooked() || !node.plain_call) {
    const Arguments given(args, n_args, keywords);
    return call_as_ever(node.module, given.positional.get(), given.named.get());
  }
  const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  std::vector<PyObject *> all{node.module};
  all.insert(all.end(), args, args + n_args + n_keywords);
  const auto n_all = static_cast<std::size_t>(n_args + 1);
  return PyObject_VectorcallMethod(names().forward, all.data(), n_all, keywords);
}

PyObject *Tracer::enter(Node &node, std::int32_t index, PyObject *const *args, Py_ssize_t n_args,
                        PyObject *keywords) {
  const std::size_t mark = recording_.size();
  frames_.push_back({index, mark});
  const std::size_t depth = frames_.size();
  PyObject *output = nullptr;
  if (node.python_rule != nullptr && !node.is_hooked() && !is_transformed()) {
    const Arguments given(args, n_args, keywords);
    const FunctionModesOff off(*this);
    output = PyObject_CallFunctionObjArgs(node.python_rule, node.module, given.positional.get(),
                                          given.named.get(), nullptr);
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
  Value in, out;
  if (!node.registered && n_args == 1 && keywords == nullptr &&
      Py_TYPE(args[0]) == torch().tensor && Py_TYPE(output) == torch().tensor &&
      look(args[0], in) && look(output, out)) {
    Layer layer;
    layer.kind = static_cast<std::uint16_t>(Kind::identity);
    layer.flags = flag_unmoved;
    describe(layer, &in, 1, out.form, 1, true);
    put(output, out.slot,
        record(layer, node.class_name, in.form->dims, out.form->dims, &in.slot, 1, 1));
    return true;
  }
  const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  const Ref given(PyTuple_New(n_args + n_keywords));
  for (Py_ssize_t i = 0; i < n_args + n_keywords; ++i) {
    Py_INCREF(args[i]);
    PyTuple_SET_ITEM(given.get(), i, args[i]);
  }
  const FunctionModesOff off(*this);
  const Ref number(PyLong_FromSize_t(mark));
  const Ref result(PyObject_CallMethodObjArgs(driver_.get(), names().rewrite, node.module,
                                              number.get(), given.get(), output, nullptr));
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
    const FunctionModesOff off(*this);
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
