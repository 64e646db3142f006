#include "tracer/leaf_answers.hpp"

#include "tracer/names.hpp"

namespace bopscount::tracer {

/// Fill the answer for an input of form `in`. False if the rule is not certain.
bool LeafAnswers::ask(const LeafRule &rule, const LeafModule &view, const Form &in,
                      const Form *&out, LeafAnswer &answer) {
  const Dtype type = forms_.dtype_of(in.dtype);
  Layer &layer = answer.layer;
  layer.kind = static_cast<std::uint16_t>(rule.kind);
  const bool floats = rule.takes == Takes::floats;
  if ((floats && !type.floating) || (rule.takes == Takes::indices && !type.index) ||
      !rule.answer(rule, view, in.dims, answer))
    return false;
  if (floats && view.weight_elements && view.weight_dtype != in.dtype)
    return false; // torch raises, or casts
  PyObject *out_dtype = answer.output == Output::of_weight ? view.weight_dtype : in.dtype;
  out = answer.output == Output::same ? &in : forms_.form_of(answer.out, out_dtype);
  layer.input_item_bytes = type.item_bytes;
  layer.input_bits = static_cast<std::uint8_t>(8 * type.item_bytes);
  layer.output_item_bytes = forms_.dtype_of(out_dtype).item_bytes;
  layer.output_bits = static_cast<std::uint8_t>(8 * layer.output_item_bytes);
  return true;
}

/// Return the output of `record`; it has a tensor only if that is the input's.
Value LeafAnswers::output_of(const LeafAnswer &answer, const Value &input, const Form *out,
                             std::int32_t record) {
  Recording &recording = recorder_.recording();
  if (answer.output == Output::same) {
    Value same = input;
    if (same.slot == Recording::no_slot) {
      same.slot = recording.new_slot(record);
      if (same.tensor != nullptr) seen_.add(same.tensor, same.slot, same.form);
    } else {
      recording.write(same.slot, record);
    }
    return same;
  }
  const bool keeps = answer.output == Output::view && input.slot != Recording::no_slot;
  return {nullptr, out, keeps ? Recording::view_of(input.slot) : recording.new_slot(record)};
}

bool LeafAnswers::answer_module(const Node &node, std::int32_t index, Value &value) {
  // Parameters swapped since the walk (functional_call), or a transform such as vmap around the
  // call, are left to torch.
  PyObject *parameters = item(node.dict, names().parameters);
  if (parameters != nullptr && (item(parameters, names().weight) != node.view.weight ||
                                item(parameters, names().bias) != node.view.bias))
    return false;
  if (is_transformed()) return false;
  LeafAnswer answer;
  const Form *out = nullptr;
  if (!ask(*node.rule, node.view, *value.form, out, answer)) return false;
  const Recorder::Frame frame(recorder_, index);
  const std::int32_t at =
      recorder_.add(answer.layer, node.class_name, value.form->dims, answer.out, &value.slot, 1, 1);
  value = output_of(answer, value, out, at);
  return true;
}

py::object LeafAnswers::answer_function(std::size_t rule, PyObject *op, PyObject *input,
                                        PyObject *attributes, PyObject *weight, PyObject *bias,
                                        PyObject *dtype, PyObject *others) {
  LeafModule view;
  view.dict = attributes;
  const auto elements = [&](PyObject *parameter) -> std::int64_t {
    if (parameter == Py_None) return 0;
    const Ref own = checked(PyObject_GetAttr(parameter, names().dtype));
    view.weight_dtype = own.get(); // torch never frees its dtypes
    view.weight_item_bytes = forms_.dtype_of(own.get()).item_bytes;
    return py::handle(parameter).attr("numel")().cast<std::int64_t>();
  };
  view.bias_elements = elements(bias);
  view.weight_elements = elements(weight);
  LeafAnswer answer;
  Value value;
  const Form *out = nullptr;
  if (!seen_.look(input, value) || !ask(leaf_rules()[rule], view, *value.form, out, answer))
    return py::none();
  if (dtype != Py_None && dtype != out->dtype) {
    out = forms_.form_of(answer.out, dtype);
    answer.layer.output_item_bytes = forms_.dtype_of(dtype).item_bytes;
    answer.layer.output_bits = static_cast<std::uint8_t>(8 * answer.layer.output_item_bytes);
  }
  std::vector<Recording::Slot> slots{value.slot};
  if (others != Py_None)
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(others); ++i)
      slots.push_back(seen_.slot_of(PyTuple_GET_ITEM(others, i)));
  const std::int32_t at =
      recorder_.add(answer.layer, op, value.form->dims, answer.out, slots.data(), slots.size(), 1);
  return py::reinterpret_steal<py::object>(seen_.tensor_of(output_of(answer, value, out, at)));
}

} // namespace bopscount::tracer
