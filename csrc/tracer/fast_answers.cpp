#include "tracer/fast_answers.hpp"

#include "recording/shape_rules.hpp"
#include "tracer/indexing.hpp"
#include "tracer/names.hpp"

namespace bopscount::tracer {
namespace {

/// Return argument `i` of a call, positional or by name, borrowed; null if it is not given.
PyObject *argument(PyObject *args, PyObject *keywords, Py_ssize_t i, const char *name,
                   Py_ssize_t &n_named) {
  if (i < PyTuple_GET_SIZE(args)) return PyTuple_GET_ITEM(args, i);
  PyObject *value = PyDict_GetItemString(keywords, name);
  if (value != nullptr) ++n_named;
  return value;
}

} // namespace

PyObject *FastAnswers::answer(const FastOp &op, PyObject *args, PyObject *keywords) {
  switch (op.form) {
  case FastForm::linear: return linear(op, args, keywords);
  case FastForm::matmul: return matmul(op, args, keywords);
  case FastForm::binary:
  case FastForm::binary_in_place: return binary(op, args, keywords);
  case FastForm::unary:
  case FastForm::activation: return unary(op, args, keywords);
  case FastForm::dropout: return dropout(args, keywords);
  case FastForm::set_item: return set_item(op, args);
  }
  return nullptr;
}

/// input (..., in), weight (out, in), bias (out) or None.
PyObject *FastAnswers::linear(const FastOp &op, PyObject *args, PyObject *keywords) {
  Py_ssize_t n_named = 0;
  PyObject *input = argument(args, keywords, 0, "input", n_named);
  PyObject *weight = argument(args, keywords, 1, "weight", n_named);
  PyObject *bias = argument(args, keywords, 2, "bias", n_named);
  Value operands[2], third;
  if (PyTuple_GET_SIZE(args) > 3 || PyDict_GET_SIZE(keywords) != n_named ||
      !seen_.look_at_floats(input, operands[0]) || !seen_.look_at_floats(weight, operands[1]))
    return nullptr;
  const Form &in = *operands[0].form, &by = *operands[1].form;
  if (by.dims.rank != 2 || in.dtype != by.dtype) return nullptr;
  Layer layer;
  layer.in_channels = by.dims[1];
  layer.out_channels = by.dims[0];
  Dims out;
  if (!linear_shape(layer, in.dims, out)) return nullptr;
  recorder_.describe(layer, operands, 2, forms_.form_of(out, in.dtype), -1, true);
  set_second(layer, by);
  if (bias != nullptr && bias != Py_None) {
    if (!seen_.look_at_floats(bias, third) || third.form->dims.rank != 1 ||
        third.form->dims[0] != by.dims[0])
      return nullptr;
    layer.bias_elements = by.dims[0];
  }
  return record_new(op, layer, operands, 2, forms_.form_of(out, in.dtype));
}

/// (..., m, k) @ (..., k, n): batch x m rows of k; the weight is the right operand.
PyObject *FastAnswers::matmul(const FastOp &op, PyObject *args, PyObject *keywords) {
  Value operands[2];
  if (PyTuple_GET_SIZE(args) != 2 || PyDict_GET_SIZE(keywords) != 0 ||
      !seen_.look_at_floats(PyTuple_GET_ITEM(args, 0), operands[0]) ||
      !seen_.look_at_floats(PyTuple_GET_ITEM(args, 1), operands[1]))
    return nullptr;
  const Form &left = *operands[0].form, &right = *operands[1].form;
  const Dims &a = left.dims, &b = right.dims;
  if (a.rank < 2 || b.rank < 2 || left.dtype != right.dtype) return nullptr;
  Dims out;
  if (!matmul_shape(a, b, out)) return nullptr;
  if (op.rank != 0 && (a.rank != op.rank || b.rank != op.rank || (a.rank == 3 && a[0] != b[0])))
    return nullptr;
  const Form *form = forms_.form_of(out, left.dtype);
  Layer layer;
  recorder_.describe(layer, operands, 2, form, 1, true);
  recorder_.describe_product(layer, operands, form);
  return record_new(op, layer, operands, 2, form);
}

/// Two tensors of one dtype that broadcast, or a tensor and a number.
PyObject *FastAnswers::binary(const FastOp &op, PyObject *args, PyObject *keywords) {
  if (PyTuple_GET_SIZE(args) != 2 || PyDict_GET_SIZE(keywords) != 0) return nullptr;
  PyObject *left = PyTuple_GET_ITEM(args, 0), *right = PyTuple_GET_ITEM(args, 1);
  Value operands[2];
  if (!seen_.look_at_floats(left, operands[0])) return nullptr;
  const Form *form = operands[0].form;
  std::size_t n_operands = 1;
  if (!is_number(right)) {
    if (!seen_.look_at_floats(right, operands[1]) || operands[1].form->dtype != form->dtype)
      return nullptr;
    Dims out;
    if (!broadcast_shape(form->dims, operands[1].form->dims, out)) return nullptr;
    if (!(out == form->dims)) form = forms_.form_of(out, form->dtype);
    n_operands = 2;
  }
  Layer layer;
  recorder_.describe(layer, operands, n_operands, form, 1, true);
  if (op.form == FastForm::binary) return record_new(op, layer, operands, n_operands, form);
  return form == operands[0].form ? record_into(op, layer, operands, n_operands) : nullptr;
}

/// A tensor of floats, with `inplace` for activations.
PyObject *FastAnswers::unary(const FastOp &op, PyObject *args, PyObject *keywords) {
  bool in_place = false;
  if (PyDict_GET_SIZE(keywords) > 0) {
    PyObject *given = PyDict_GetItemWithError(keywords, names().inplace);
    if (op.form != FastForm::activation || PyDict_GET_SIZE(keywords) > 1 || given == nullptr ||
        !PyBool_Check(given))
      return nullptr;
    in_place = given == Py_True;
  }
  Value operand;
  if (PyTuple_GET_SIZE(args) != 1 || !seen_.look_at_floats(PyTuple_GET_ITEM(args, 0), operand))
    return nullptr;
  Layer layer;
  recorder_.describe(layer, &operand, 1, operand.form, 1, true);
  return in_place ? record_into(op, layer, &operand, 1)
                  : record_new(op, layer, &operand, 1, operand.form);
}

/// dropout(input, p=0.5, training=True, inplace=False) with training=False.
PyObject *FastAnswers::dropout(PyObject *args, PyObject *keywords) {
  Py_ssize_t n_named = 0;
  PyObject *input = argument(args, keywords, 0, "input", n_named);
  PyObject *p = argument(args, keywords, 1, "p", n_named);
  PyObject *training = argument(args, keywords, 2, "training", n_named);
  argument(args, keywords, 3, "inplace", n_named);
  if (PyTuple_GET_SIZE(args) > 4 || PyDict_GET_SIZE(keywords) != n_named || training != Py_False ||
      input == nullptr || Py_TYPE(input) != torch().tensor)
    return nullptr;
  if (p != nullptr) {
    if (!is_number(p)) return nullptr;
    const double share = PyFloat_AsDouble(p);
    if (!(share >= 0 && share <= 1)) return PyErr_Clear(), nullptr;
  }
  return Py_NewRef(input);
}

/// target[basic index] = number. Runs for constants, for masks are drawn that way; is recorded
/// only for a tensor that the tracer made.
PyObject *FastAnswers::set_item(const FastOp &op, PyObject *args) {
  PyObject *target = PyTuple_GET_ITEM(args, 0), *index = PyTuple_GET_ITEM(args, 1),
           *value = PyTuple_GET_ITEM(args, 2);
  if (real_ || Py_TYPE(target) != torch().tensor || !is_basic_index(index) ||
      !(is_number(value) || PyBool_Check(value)))
    return nullptr;
  Recording::Slot slot = seen_.slot_of(target);
  Dims dims;
  PyObject *dtype = nullptr;
  if (const Form *const form = seen_.made_form(target)) {
    if (!indexed_shape(index, form->dims, dims)) return nullptr;
    dtype = form->dtype;
  } else {
    if (recorder_.recording().producer(slot) < 0 || seen_.is_live(target)) return nullptr;
    const FunctionModesOff off(modes_);
    const Ref part = checked(PyObject_GetItem(target, index));
    const Ref filled = checked(PyObject_CallMethodOneArg(part.get(), names().fill, value));
    Value written;
    if (!seen_.look(part.get(), written)) throw py::value_error("tensors of over 12 dimensions");
    dims = written.form->dims;
    dtype = written.form->dtype;
  }
  Layer layer;
  layer.kind = op.kind;
  recorder_.describe(layer, nullptr, 0, forms_.form_of(dims, dtype), 1, true);
  recorder_.put(target, slot, recorder_.add(layer, op.name.get(), dims, dims, nullptr, 0, 0));
  Py_RETURN_NONE;
}

void FastAnswers::set_second(Layer &layer, const Form &weight) {
  const std::uint8_t item_bytes = forms_.dtype_of(weight.dtype).item_bytes;
  layer.weight_elements = weight.dims.elements();
  layer.weight_item_bytes = item_bytes;
  layer.weight_bits = static_cast<std::uint8_t>(8 * item_bytes);
  layer.extra_elements = 0;
}

/// Record an op; return the index of its record.
std::int32_t FastAnswers::record(const FastOp &op, Layer &layer, const Value *operands,
                                 std::size_t n_operands, const Form *out) {
  layer.kind = op.kind;
  const Recording::Slot slots[] = {operands[0].slot, operands[n_operands - 1].slot};
  return recorder_.add(layer, op.name.get(), operands[0].form->dims, out->dims, slots, n_operands,
                       n_operands);
}

/// Record an op; return its output, a new tensor.
PyObject *FastAnswers::record_new(const FastOp &op, Layer &layer, const Value *operands,
                                  std::size_t n_operands, const Form *out) {
  return recorder_.new_output(out, record(op, layer, operands, n_operands, out));
}

/// Record an op that writes its first operand and returns it. Null unless the tracer made that
/// tensor: then it is contiguous, on meta, and nobody else's.
PyObject *FastAnswers::record_into(const FastOp &op, Layer &layer, const Value *operands,
                                   std::size_t n_operands) {
  PyObject *target = operands[0].tensor;
  if (real_ || !seen_.is_made(target)) return nullptr;
  recorder_.recording().write(operands[0].slot,
                              record(op, layer, operands, n_operands, operands[0].form));
  return Py_NewRef(target);
}

} // namespace bopscount::tracer
