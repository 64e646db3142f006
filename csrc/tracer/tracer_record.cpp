// Tensors and records.
#include <algorithm>

#include "tracer/tracer_detail.hpp"

namespace bopscount::bindings {

const Tracer::Dtype &Tracer::dtype_of(PyObject *dtype) {
  const auto found = dtypes_.find(dtype);
  if (found != dtypes_.end()) return found->second;
  const Ref size = checked(PyObject_GetAttr(dtype, names().itemsize));
  const Ref floating = checked(PyObject_GetAttr(dtype, names().is_floating_point));
  std::int64_t bytes = 0;
  to_int(size.get(), bytes);
  const auto name = py::str(py::handle(dtype)).cast<std::string>();
  const bool index = name == "torch.int64" || name == "torch.int32";
  const bool integer = name.find("int") != std::string::npos;
  const Dtype about{static_cast<std::uint8_t>(bytes), floating.get() == Py_True, index, integer};
  return dtypes_.emplace(dtype, about).first->second;
}

void Tracer::own(PyObject *tensor, Recording::Slot slot, const Form *form) {
  const auto [entry, is_new] = seen_.insert_or_assign(tensor, Seen{slot, form, form != nullptr});
  if (is_new) {
    Py_INCREF(tensor);
    kept_.push_back(tensor);
  }
}

Recording::Slot Tracer::slot_of(PyObject *tensor) const {
  const auto found = seen_.find(tensor);
  return found == seen_.end() ? Recording::no_slot : found->second.slot;
}

const Form *Tracer::form_of(const Dims &dims, PyObject *dtype) {
  return &*forms_.emplace(Form{dims, dtype}).first;
}

/// A meta tensor; a shallow copy of a template is six times cheaper than an empty one.
Ref Tracer::make_tensor(const Form *form) {
  const FunctionModesOff off(*this);
  if (!form->tensor) {
    const Ref shape = to_tuple(form->dims);
    PyObject *arguments[] = {shape.get(), form->dtype, torch().meta};
    form->tensor =
        checked(PyObject_Vectorcall(torch().empty, arguments, 1, torch().empty_keywords));
  }
  return checked(PyObject_GetAttr(form->tensor.get(), names().data));
}

std::int32_t Tracer::record(const Layer &layer, PyObject *op, const Dims &in, const Dims &out,
                            const Recording::Slot *inputs, std::size_t n_inputs,
                            std::size_t n_carriers) {
  const std::int32_t at = node();
  Layer owned = layer;
  if (!nodes_[static_cast<std::size_t>(at)].leaf) owned.flags |= flag_functional;
  Py_INCREF(op);
  ops_.push_back(op);
  record_nodes_.push_back(at);
  if (op_table()[layer.kind].mac_form != MacForm::none) ++n_products_;
  return recording_.add(owned, in, out, inputs, n_inputs, n_carriers);
}

/// What of a record follows from its operands and output.
void Tracer::describe(Layer &layer, const Value *operands, std::size_t n_operands, const Form *out,
                      int channel_axis, bool batched) {
  const Form *first = n_operands > 0 ? operands[0].form : out;
  set_sizes(layer, first->dims, out->dims, channel_axis, batched && first->dims.rank > 0);
  layer.extra_elements = 0;
  for (std::size_t i = 1; i < n_operands; ++i)
    layer.extra_elements += operands[i].form->dims.elements();
  layer.input_item_bytes = dtype_of(first->dtype).item_bytes;
  layer.output_item_bytes = dtype_of(out->dtype).item_bytes;
  layer.input_bits = static_cast<std::uint8_t>(8 * layer.input_item_bytes);
  layer.output_bits = static_cast<std::uint8_t>(8 * layer.output_item_bytes);
  if (dtype_of(first->dtype).integer && op_table()[layer.kind].mac_form != MacForm::none)
    layer.input_bits_source = BitSource::dtype;
}

/// Records a native function's op; its index.
std::int32_t Tracer::record(const Native &function, Layer &layer, const Value *operands,
                            std::size_t n_operands, const Form *out) {
  layer.kind = function.kind;
  const Recording::Slot slots[] = {operands[0].slot, operands[n_operands - 1].slot};
  return record(layer, function.name, operands[0].form->dims, out->dims, slots, n_operands,
                n_operands);
}

/// The same; the op's output, a new tensor.
PyObject *Tracer::record_new(const Native &function, Layer &layer, const Value *operands,
                             std::size_t n_operands, const Form *out) {
  const std::int32_t index = record(function, layer, operands, n_operands, out);
  return tensor_of({nullptr, out, recording_.new_slot(index)});
}

/// Says that `record` wrote a tensor that is there already, on memory `slot` if it has one.
void Tracer::put(PyObject *tensor, Recording::Slot slot, std::int32_t record) {
  if (slot == Recording::no_slot)
    own(tensor, recording_.new_slot(record));
  else
    recording_.write(slot, record);
}

py::object Tracer::emit(const Op &op) {
  std::vector<Value> operands;
  std::vector<Recording::Slot> slots;
  std::size_t n_carriers = 0;
  const Py_ssize_t n_operands = PyTuple_GET_SIZE(op.operands);
  for (Py_ssize_t i = 0; i < n_operands; ++i) {
    Value &operand = operands.emplace_back();
    if (!look(PyTuple_GET_ITEM(op.operands, i), operand))
      throw py::value_error("tensors of more than 12 dimensions are not traced");
    slots.push_back(operand.slot);
    // Numbers of rows say nothing of the rows' values.
    if (i == 0 || !dtype_of(operand.form->dtype).index) n_carriers = slots.size();
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
  const Form *out = form_of(dims, dtype);
  Layer layer;
  layer.kind = op.kind;
  describe(layer, operands.data(), operands.size(), out, op.channel_axis, op.batched);
  if (op.fields != Py_None) {
    if (!PyDict_Check(op.fields)) throw py::type_error("fields must be a dict");
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(op.fields, &position, &name, &value)) set_field(layer, name, value);
  }
  const std::int32_t index = record(layer, op.name, (first == nullptr ? out : first)->dims,
                                    out->dims, slots.data(), slots.size(), n_carriers);
  if (has_into) {
    put(op.into, slot_of(op.into), index);
    return py::reinterpret_borrow<py::object>(op.into);
  }
  if (!has_shape) return py::none();
  return py::reinterpret_steal<py::object>(tensor_of({nullptr, out, recording_.new_slot(index)}));
}

void Tracer::set_bits(const py::object &tensor, int bits) {
  const Recording::Slot slot = slot_of(tensor.ptr());
  if (slot != Recording::no_slot) recording_.set_bits(slot, static_cast<std::uint8_t>(bits));
}

int Tracer::bits_of(const py::object &tensor) const {
  const Recording::Slot slot = slot_of(tensor.ptr());
  return slot == Recording::no_slot ? 0 : recording_.bits(slot);
}

py::object Tracer::another(py::object shape, py::object dtype) {
  Dims dims;
  if (!to_dims(shape.ptr(), dims)) throw py::value_error("shape must be a tuple of up to 12 sizes");
  const Form *form = form_of(dims, dtype.ptr());
  Ref tensor = make_tensor(form);
  own(tensor.get(), recording_.new_slot(static_cast<std::int32_t>(recording_.size()) - 1), form);
  return py::reinterpret_steal<py::object>(tensor.release());
}

void Tracer::input(const py::object &tensor) {
  if (slot_of(tensor.ptr()) == Recording::no_slot) own(tensor.ptr(), recording_.new_input());
}

void Tracer::alias(const py::object &tensor, const py::object &base) {
  if (tensor.is(base)) return;
  const Recording::Slot slot = slot_of(base.ptr());
  if (slot != Recording::no_slot) own(tensor.ptr(), Recording::view_of(slot));
}

std::int32_t Tracer::producer_of(const py::object &tensor) const {
  return recording_.producer(slot_of(tensor.ptr()));
}

std::size_t Tracer::rewrite(std::size_t mark, const py::dict &fields) {
  std::vector<bool> keep;
  std::size_t n_kept = 0;
  const auto is_product = [](const Layer &layer) {
    return op_table()[layer.kind].mac_form != MacForm::none;
  };
  const auto is_look_up = [](const Layer &layer) {
    return static_cast<Kind>(layer.kind) == Kind::embedding;
  };
  const auto &layers = recording_.layers();
  const bool any_product =
      std::any_of(layers.begin() + static_cast<std::ptrdiff_t>(mark), layers.end(), is_product);
  for (std::size_t i = mark; i < recording_.size(); ++i) {
    Layer &layer = recording_.layers()[i];
    keep.push_back(any_product ? is_product(layer) : is_look_up(layer));
    if (!keep.back()) continue;
    for (const auto &[name, value] : fields) set_field(layer, name.ptr(), value.ptr());
    std::swap(ops_[mark + n_kept], ops_[i]);
    record_nodes_[mark + n_kept] = record_nodes_[i];
    ++n_kept;
  }
  recording_.keep_only(mark, keep);
  for (std::size_t i = mark + n_kept; i < ops_.size(); ++i) Py_DECREF(ops_[i]);
  ops_.resize(mark + n_kept);
  record_nodes_.resize(mark + n_kept);
  return n_kept;
}

} // namespace bopscount::bindings
