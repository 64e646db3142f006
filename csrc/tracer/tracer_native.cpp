// Functions that networks call most, answered without Python: products and sums of floats.
// Whatever is unusual about a call is left to the function's rule, or to torch.
#include "recording/shape_rules.hpp"
#include "tracer/tracer_detail.hpp"

namespace bopscount::bindings {
namespace {

/// Argument number i of a call, positional or by name; null if it is not given.
PyObject *argument(PyObject *args, PyObject *keywords, Py_ssize_t i, const char *name,
                   Py_ssize_t &n_named) {
  if (i < PyTuple_GET_SIZE(args)) return PyTuple_GET_ITEM(args, i);
  PyObject *value = PyDict_GetItemString(keywords, name);
  if (value != nullptr) ++n_named;
  return value;
}

/// Of exactly these types.
bool is_number(PyObject *value) { return PyLong_CheckExact(value) || PyFloat_CheckExact(value); }

void set_second(Layer &layer, const Form &weight, std::uint8_t item_bytes) {
  layer.weight_elements = weight.dims.elements();
  layer.weight_item_bytes = item_bytes;
  layer.weight_bits = static_cast<std::uint8_t>(8 * item_bytes);
  layer.extra_elements = 0;
}

/// The shape of x[index] for an index of numbers, slices, None and Ellipsis; false where torch
/// would raise, and should.
bool indexed_shape(PyObject *index, const Dims &in, Dims &out) {
  const bool several = PyTuple_Check(index);
  const Py_ssize_t n_parts = several ? PyTuple_GET_SIZE(index) : 1;
  const auto part_of = [&](Py_ssize_t i) { return several ? PyTuple_GET_ITEM(index, i) : index; };
  std::size_t used = 0, dim = 0;
  Py_ssize_t ellipses = 0;
  for (Py_ssize_t i = 0; i < n_parts; ++i) {
    ellipses += part_of(i) == Py_Ellipsis;
    used += part_of(i) != Py_Ellipsis && part_of(i) != Py_None;
  }
  if (used > in.rank || ellipses > 1 ||
      in.rank + static_cast<std::size_t>(n_parts) > Dims::capacity)
    return false;
  out.rank = 0;
  for (Py_ssize_t i = 0; i < n_parts; ++i) {
    PyObject *part = part_of(i);
    if (part == Py_None) {
      out.push(1);
    } else if (part == Py_Ellipsis) {
      for (std::size_t left = in.rank - used; left > 0; --left) out.push(in[dim++]);
    } else if (PySlice_Check(part)) {
      Py_ssize_t start, stop, step;
      if (PySlice_Unpack(part, &start, &stop, &step) != 0) return PyErr_Clear(), false;
      if (step < 1) return false;
      out.push(PySlice_AdjustIndices(static_cast<Py_ssize_t>(in[dim++]), &start, &stop, step));
    } else {
      std::int64_t at = 0;
      if (!to_int(part, at) || at < -in[dim] || at >= in[dim]) return false;
      ++dim;
    }
  }
  while (dim < in.rank) out.push(in[dim++]);
  return true;
}

} // namespace

/// A tensor of floats that is no subclass of torch's.
bool Tracer::look_at_floats(PyObject *tensor, Value &value) {
  return tensor != nullptr &&
         (Py_TYPE(tensor) == torch().tensor || Py_TYPE(tensor) == torch().parameter) &&
         look(tensor, value) && dtype_of(value.form->dtype).floating;
}

PyObject *Tracer::native(const Native &function, PyObject *args, PyObject *keywords) {
  switch (function.form) {
  case NativeForm::linear: return linear(function, args, keywords);
  case NativeForm::matmul: return matmul(function, args, keywords);
  case NativeForm::binary:
  case NativeForm::binary_in_place: return binary(function, args, keywords);
  case NativeForm::unary:
  case NativeForm::activation: return unary(function, args, keywords);
  case NativeForm::dropout: return dropout(args, keywords);
  case NativeForm::set_item: return set_item(function, args);
  }
  return nullptr;
}

/// input (..., in), weight (out, in), bias (out) or None.
PyObject *Tracer::linear(const Native &function, PyObject *args, PyObject *keywords) {
  Py_ssize_t n_named = 0;
  PyObject *input = argument(args, keywords, 0, "input", n_named);
  PyObject *weight = argument(args, keywords, 1, "weight", n_named);
  PyObject *bias = argument(args, keywords, 2, "bias", n_named);
  Value operands[2], third;
  if (PyTuple_GET_SIZE(args) > 3 || PyDict_GET_SIZE(keywords) != n_named ||
      !look_at_floats(input, operands[0]) || !look_at_floats(weight, operands[1]))
    return nullptr;
  const Form &in = *operands[0].form, &by = *operands[1].form;
  if (by.dims.rank != 2 || in.dtype != by.dtype) return nullptr;
  Layer layer;
  layer.in_channels = by.dims[1];
  layer.out_channels = by.dims[0];
  Dims out;
  if (!linear_shape(layer, in.dims, out)) return nullptr;
  describe(layer, operands, 2, form_of(out, in.dtype), -1, true);
  set_second(layer, by, dtype_of(by.dtype).item_bytes);
  if (bias != nullptr && bias != Py_None) {
    if (!look_at_floats(bias, third) || third.form->dims.rank != 1 ||
        third.form->dims[0] != by.dims[0])
      return nullptr;
    layer.bias_elements = by.dims[0];
  }
  return record_new(function, layer, operands, 2, form_of(out, in.dtype));
}

/// (..., m, k) @ (..., k, n): batch x m rows of k; the weight is the right operand.
PyObject *Tracer::matmul(const Native &function, PyObject *args, PyObject *keywords) {
  Value operands[2];
  if (PyTuple_GET_SIZE(args) != 2 || PyDict_GET_SIZE(keywords) != 0 ||
      !look_at_floats(PyTuple_GET_ITEM(args, 0), operands[0]) ||
      !look_at_floats(PyTuple_GET_ITEM(args, 1), operands[1]))
    return nullptr;
  const Form &left = *operands[0].form, &right = *operands[1].form;
  const Dims &a = left.dims, &b = right.dims;
  if (a.rank < 2 || b.rank < 2 || left.dtype != right.dtype) return nullptr;
  Dims out;
  if (!matmul_shape(a, b, out)) return nullptr;
  if (function.rank != 0 &&
      (a.rank != function.rank || b.rank != function.rank || (a.rank == 3 && a[0] != b[0])))
    return nullptr;
  const Form *form = form_of(out, left.dtype);
  Layer layer;
  describe(layer, operands, 2, form, 1, true);
  set_second(layer, right, dtype_of(right.dtype).item_bytes);
  layer.batch = out.elements(0, out.rank - 1);
  layer.in_channels = a[a.rank - 1];
  layer.out_channels = b[b.rank - 1];
  layer.in_positions = layer.out_positions = 1;
  return record_new(function, layer, operands, 2, form);
}

/// Two tensors of one dtype that broadcast, or a tensor and a number.
PyObject *Tracer::binary(const Native &function, PyObject *args, PyObject *keywords) {
  if (PyTuple_GET_SIZE(args) != 2 || PyDict_GET_SIZE(keywords) != 0) return nullptr;
  PyObject *left = PyTuple_GET_ITEM(args, 0), *right = PyTuple_GET_ITEM(args, 1);
  Value operands[2];
  if (!look_at_floats(left, operands[0])) return nullptr;
  const Form *form = operands[0].form;
  std::size_t n_operands = 1;
  if (!is_number(right)) {
    if (!look_at_floats(right, operands[1]) || operands[1].form->dtype != form->dtype)
      return nullptr;
    Dims out;
    if (!broadcast_shape(form->dims, operands[1].form->dims, out)) return nullptr;
    if (!(out == form->dims)) form = form_of(out, form->dtype);
    n_operands = 2;
  }
  Layer layer;
  describe(layer, operands, n_operands, form, 1, true);
  if (function.form == NativeForm::binary)
    return record_new(function, layer, operands, n_operands, form);
  return form == operands[0].form ? record_into(function, layer, operands, n_operands) : nullptr;
}

/// A tensor of floats alone, or with inplace=True or False where the function takes that.
PyObject *Tracer::unary(const Native &function, PyObject *args, PyObject *keywords) {
  bool in_place = false;
  if (PyDict_GET_SIZE(keywords) > 0) {
    PyObject *given = PyDict_GetItemWithError(keywords, names().inplace);
    if (function.form != NativeForm::activation || PyDict_GET_SIZE(keywords) > 1 ||
        given == nullptr || !PyBool_Check(given))
      return nullptr;
    in_place = given == Py_True;
  }
  Value operand;
  if (PyTuple_GET_SIZE(args) != 1 || !look_at_floats(PyTuple_GET_ITEM(args, 0), operand))
    return nullptr;
  Layer layer;
  describe(layer, &operand, 1, operand.form, 1, true);
  return in_place ? record_into(function, layer, &operand, 1)
                  : record_new(function, layer, &operand, 1, operand.form);
}

/// Records an op that writes its first operand, which it returns; null if that is not a tensor
/// that the tracer made: such a one is contiguous, on meta, and nobody else's.
PyObject *Tracer::record_into(const Native &function, Layer &layer, const Value *operands,
                              std::size_t n_operands) {
  PyObject *target = operands[0].tensor;
  if (real_ || !is_made(target)) return nullptr;
  recording_.write(operands[0].slot,
                   record(function, layer, operands, n_operands, operands[0].form));
  Py_INCREF(target);
  return target;
}

/// dropout(input, p=0.5, training=True, inplace=False) that is off.
PyObject *Tracer::dropout(PyObject *args, PyObject *keywords) {
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
  Py_INCREF(input);
  return input;
}

/// target[numbers and slices] = number. Into constants it is done for real, for masks are
/// drawn so; into what the tracer made, it is recorded only.
PyObject *Tracer::set_item(const Native &function, PyObject *args) {
  PyObject *target = PyTuple_GET_ITEM(args, 0), *index = PyTuple_GET_ITEM(args, 1),
           *value = PyTuple_GET_ITEM(args, 2);
  if (real_ || Py_TYPE(target) != torch().tensor || !is_basic_index(index) ||
      !(is_number(value) || PyBool_Check(value)))
    return nullptr;
  const auto found = seen_.find(target);
  Recording::Slot slot = slot_of(target);
  Dims dims;
  PyObject *dtype = nullptr;
  if (found != seen_.end() && found->second.made && found->second.form != nullptr) {
    if (!indexed_shape(index, found->second.form->dims, dims)) return nullptr;
    dtype = found->second.form->dtype;
  } else {
    if (recording_.producer(slot) < 0 || is_live(target)) return nullptr;
    const FunctionModesOff off(*this);
    const Ref part = checked(PyObject_GetItem(target, index));
    const Ref filled = checked(PyObject_CallMethodOneArg(part.get(), names().fill, value));
    Value written;
    if (!look(part.get(), written)) throw py::value_error("tensors of over 12 dimensions");
    dims = written.form->dims;
    dtype = written.form->dtype;
  }
  Layer layer;
  layer.kind = function.kind;
  describe(layer, nullptr, 0, form_of(dims, dtype), 1, true);
  put(target, slot, record(layer, function.name, dims, dims, nullptr, 0, 0));
  Py_RETURN_NONE;
}

} // namespace bopscount::bindings
