#include "tracer/recorder.hpp"

#include <algorithm>

#include "core/op_table.hpp"
#include "tracer/record_fields.hpp"

namespace bopscount::tracer {
namespace {

bool is_product(const Layer &layer) { return op_table()[layer.kind].mac_form != MacForm::none; }

bool is_look_up(const Layer &layer) { return static_cast<Kind>(layer.kind) == Kind::embedding; }

/// Set fields of a record from a dict.
void set_fields(Layer &layer, PyObject *fields) {
  PyObject *name, *value;
  Py_ssize_t position = 0;
  while (PyDict_Next(fields, &position, &name, &value)) set_field(layer, name, value);
}

} // namespace

std::int32_t Recorder::add(const Layer &layer, PyObject *op, const Dims &in, const Dims &out,
                           const Recording::Slot *inputs, std::size_t n_inputs,
                           std::size_t n_carriers) {
  const std::int32_t at = node();
  Layer owned = layer;
  if (!tree_[at].leaf) owned.flags |= flag_functional;
  ops_.push_back(Ref::borrow(op));
  nodes_.push_back(at);
  if (is_product(layer)) ++n_products_;
  return recording_.add(owned, in, out, inputs, n_inputs, n_carriers);
}

void Recorder::describe(Layer &layer, const Value *operands, std::size_t n_operands,
                        const Form *out, int channel_axis, bool batched) {
  const Form *first = n_operands > 0 ? operands[0].form : out;
  set_sizes(layer, first->dims, out->dims, channel_axis, batched && first->dims.rank > 0);
  layer.extra_elements = 0;
  for (std::size_t i = 1; i < n_operands; ++i)
    layer.extra_elements += operands[i].form->dims.elements();
  layer.input_item_bytes = forms_.dtype_of(first->dtype).item_bytes;
  layer.output_item_bytes = forms_.dtype_of(out->dtype).item_bytes;
  layer.input_bits = static_cast<std::uint8_t>(8 * layer.input_item_bytes);
  layer.output_bits = static_cast<std::uint8_t>(8 * layer.output_item_bytes);
  if (forms_.dtype_of(first->dtype).integer && is_product(layer))
    layer.input_bits_source = BitSource::dtype;
}

void Recorder::describe_product(Layer &layer, const Value *operands, const Form *out) {
  const Form &right = *operands[1].form;
  const Dtype &dtype = forms_.dtype_of(right.dtype);
  set_product_sizes(layer, operands[0].form->dims, right.dims, out->dims);
  layer.weight_elements = right.dims.elements();
  layer.weight_item_bytes = dtype.item_bytes;
  layer.weight_bits = static_cast<std::uint8_t>(8 * dtype.item_bytes);
  if (dtype.quantised()) layer.weight_bits_source = BitSource::dtype;
  layer.extra_elements = 0;
}

void Recorder::put(PyObject *tensor, Recording::Slot slot, std::int32_t record) {
  if (slot == Recording::no_slot)
    seen_.add(tensor, recording_.new_slot(record));
  else
    recording_.write(slot, record);
}

py::object Recorder::emit(const Op &op) {
  std::vector<Value> operands;
  std::vector<Recording::Slot> slots;
  std::size_t n_carriers = 0;
  const Py_ssize_t n_operands = PyTuple_GET_SIZE(op.operands);
  for (Py_ssize_t i = 0; i < n_operands; ++i) {
    Value &operand = operands.emplace_back();
    if (!seen_.look(PyTuple_GET_ITEM(op.operands, i), operand))
      throw py::value_error("tensors of more than 12 dimensions are not traced");
    slots.push_back(operand.slot);
    // Numbers of rows say nothing of the rows' values.
    if (i == 0 || !forms_.dtype_of(operand.form->dtype).index) n_carriers = slots.size();
  }
  const Form *first = operands.empty() ? nullptr : operands[0].form;
  const bool has_shape = op.shape != Py_None, has_into = op.into != Py_None;
  Dims dims;
  if (has_shape && !to_dims(op.shape, dims))
    throw py::value_error("shape must be a tuple of up to 12 sizes");
  if (!has_shape && first != nullptr) dims = first->dims;
  PyObject *dtype = op.dtype;
  if (dtype == Py_None) dtype = first != nullptr ? first->dtype : nullptr;
  if (dtype == nullptr) throw py::value_error("dtype must be given where there is no operand");
  const Form *out = forms_.form_of(dims, dtype);
  Layer layer;
  layer.kind = op.kind;
  const OpKind &row = op_table()[op.kind];
  int axis = op.channel_axis;
  if (axis == axis_of_kind) axis = row.axis == ChannelAxis::last ? -1 : 1;
  describe(layer, operands.data(), operands.size(), out, axis, op.batched);
  if (row.axis == ChannelAxis::any && op.channel_axis != axis_of_kind) {
    if (axis < 0) axis += static_cast<int>(dims.rank);
    set_vector_sizes(layer, dims, static_cast<std::size_t>(axis < 0 ? 0 : axis));
  }
  if (row.shape == ShapeRule::product && row.weights == WeightRule::operand && operands.size() > 1)
    describe_product(layer, operands.data(), out);
  if (op.fields != Py_None) {
    if (!PyDict_Check(op.fields)) throw py::type_error("fields must be a dict");
    set_fields(layer, op.fields);
  }
  const std::int32_t index = add(layer, op.name, (first == nullptr ? out : first)->dims, out->dims,
                                 slots.data(), slots.size(), n_carriers);
  if (has_into) {
    put(op.into, seen_.slot_of(op.into), index);
    return py::reinterpret_borrow<py::object>(op.into);
  }
  if (!has_shape) return py::none();
  return py::reinterpret_steal<py::object>(new_output(out, index));
}

py::object Recorder::another(PyObject *shape, PyObject *dtype) {
  Dims dims;
  if (!to_dims(shape, dims)) throw py::value_error("shape must be a tuple of up to 12 sizes");
  const auto last = static_cast<std::int32_t>(recording_.size()) - 1;
  return py::reinterpret_steal<py::object>(new_output(forms_.form_of(dims, dtype), last));
}

void Recorder::input(PyObject *tensor) {
  if (seen_.slot_of(tensor) == Recording::no_slot) seen_.add(tensor, recording_.new_input());
}

void Recorder::alias(PyObject *tensor, PyObject *base) {
  if (tensor == base) return;
  const Recording::Slot slot = seen_.slot_of(base);
  if (slot != Recording::no_slot) seen_.add(tensor, Recording::view_of(slot));
}

void Recorder::set_bits(PyObject *tensor, int bits) {
  const Recording::Slot slot = seen_.slot_of(tensor);
  if (slot != Recording::no_slot) recording_.set_bits(slot, static_cast<std::uint8_t>(bits));
}

int Recorder::bits_of(PyObject *tensor) const {
  const Recording::Slot slot = seen_.slot_of(tensor);
  return slot == Recording::no_slot ? 0 : recording_.bits(slot);
}

std::size_t Recorder::rewrite(std::size_t mark, PyObject *fields) {
  std::vector<bool> keep;
  std::size_t n_kept = 0;
  auto &layers = recording_.layers();
  const bool any_product =
      std::any_of(layers.begin() + static_cast<std::ptrdiff_t>(mark), layers.end(), is_product);
  for (std::size_t i = mark; i < layers.size(); ++i) {
    keep.push_back(any_product ? is_product(layers[i]) : is_look_up(layers[i]));
    if (!keep.back()) continue;
    set_fields(layers[i], fields);
    std::swap(ops_[mark + n_kept], ops_[i]);
    nodes_[mark + n_kept] = nodes_[i];
    ++n_kept;
  }
  recording_.keep_only(mark, keep);
  ops_.resize(mark + n_kept);
  nodes_.resize(mark + n_kept);
  return n_kept;
}

} // namespace bopscount::tracer
