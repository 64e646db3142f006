// Tensors and records.
#include "tracer_detail.hpp"

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
  const Dtype about{static_cast<std::uint8_t>(bytes), floating.get() == Py_True, index};
  return dtypes_.emplace(dtype, about).first->second;
}

void Tracer::own(PyObject *tensor, Recording::Slot slot) {
  const auto [entry, is_new] = slots_.insert_or_assign(tensor, slot);
  if (is_new) {
    Py_INCREF(tensor);
    kept_.push_back(tensor);
  }
}

Recording::Slot Tracer::slot_of(PyObject *tensor) {
  const auto found = slots_.find(tensor);
  return found == slots_.end() ? Recording::no_slot : found->second;
}

/// A meta tensor; a detached copy of a template is six times cheaper than an empty one.
Ref Tracer::make_tensor(const Dims &dims, PyObject *dtype) {
  const auto found = templates_.find({dims, dtype});
  if (found != templates_.end())
    return checked(PyObject_CallMethodNoArgs(found->second, names().detach));
  const Ref shape = to_tuple(dims);
  PyObject *arguments[] = {shape.get(), dtype, meta_.get()};
  Ref tensor = checked(PyObject_Vectorcall(empty_.get(), arguments, 1, empty_keywords_.get()));
  PyObject *copy = PyObject_CallMethodNoArgs(tensor.get(), names().detach);
  templates_.emplace(Template{dims, dtype}, tensor.release());
  return checked(copy);
}

std::int32_t Tracer::record(const Layer &layer, PyObject *op, const Dims &in, const Dims &out,
                            const Recording::Slot *inputs, std::size_t n_inputs) {
  const std::int32_t at = node();
  Layer owned = layer;
  if (!nodes_[static_cast<std::size_t>(at)].leaf) owned.flags |= flag_functional;
  Py_INCREF(op);
  ops_.push_back(op);
  record_nodes_.push_back(at);
  return recording_.add(owned, in, out, inputs, n_inputs);
}

py::object Tracer::emit(int kind, py::str op, py::sequence operands, py::object shape,
                        py::object dtype, int channel_axis, bool batched, py::object fields,
                        py::object into) {
  Layer layer;
  layer.kind = static_cast<std::uint16_t>(kind);
  std::vector<Recording::Slot> slots;
  Dims in, out;
  PyObject *first_dtype = nullptr;
  std::int64_t extra = 0;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const py::object operand = operands[i];
    const Ref size = checked(PyObject_GetAttr(operand.ptr(), names().shape));
    Dims dims;
    if (!to_dims(size.get(), dims))
      throw py::value_error("tensors of more than 12 dimensions are not traced");
    slots.push_back(slot_of(operand.ptr()));
    if (i == 0) {
      in = dims;
      const Ref type = checked(PyObject_GetAttr(operand.ptr(), names().dtype));
      first_dtype = type.get(); // torch keeps its dtypes
    } else {
      extra += dims.elements();
    }
  }
  const bool makes = !shape.is_none() || !into.is_none();
  out = in;
  if (!shape.is_none() && !to_dims(shape.ptr(), out))
    throw py::value_error("shape must be a tuple of up to 12 sizes");
  PyObject *out_dtype = dtype.is_none() ? first_dtype : dtype.ptr();
  if (operands.size() == 0) {
    in = out;
    first_dtype = out_dtype;
  }
  set_sizes(layer, in, out, channel_axis, batched && in.rank > 0);
  layer.extra_elements = extra;
  const Dtype &in_type = dtype_of(first_dtype), &out_type = dtype_of(out_dtype);
  layer.input_item_bytes = in_type.item_bytes;
  layer.output_item_bytes = out_type.item_bytes;
  layer.input_bits = static_cast<std::uint8_t>(8 * in_type.item_bytes);
  layer.output_bits = static_cast<std::uint8_t>(8 * out_type.item_bytes);
  if (!fields.is_none()) {
    for (const auto &[name, value] : fields.cast<py::dict>())
      set_field(layer, name.cast<std::string>(), value.ptr());
  }
  const std::int32_t index = record(layer, op.ptr(), in, out, slots.data(), slots.size());
  if (!makes) return py::none();
  if (!into.is_none()) {
    const Recording::Slot slot = slot_of(into.ptr());
    if (slot == Recording::no_slot)
      own(into.ptr(), recording_.new_slot(index));
    else
      recording_.write(slot, index);
    return into;
  }
  Ref tensor = make_tensor(out, out_dtype);
  own(tensor.get(), recording_.new_slot(index));
  return py::reinterpret_steal<py::object>(tensor.release());
}

py::object Tracer::another(py::object shape, py::object dtype) {
  Dims dims;
  if (!to_dims(shape.ptr(), dims)) throw py::value_error("shape must be a tuple of up to 12 sizes");
  Ref tensor = make_tensor(dims, dtype.ptr());
  own(tensor.get(), recording_.new_slot(static_cast<std::int32_t>(recording_.size()) - 1));
  return py::reinterpret_steal<py::object>(tensor.release());
}

void Tracer::alias(const py::object &tensor, const py::object &base) {
  if (tensor.is(base)) return;
  const Recording::Slot slot = slot_of(base.ptr());
  if (slot != Recording::no_slot) own(tensor.ptr(), slot);
}

std::int32_t Tracer::producer_of(const py::object &tensor) const {
  const auto found = slots_.find(tensor.ptr());
  return found == slots_.end() ? -1 : recording_.producer(found->second);
}

std::size_t Tracer::rewrite(std::size_t mark, const py::dict &fields) {
  std::vector<bool> keep;
  std::size_t n_kept = 0;
  for (std::size_t i = mark; i < recording_.size(); ++i) {
    Layer &layer = recording_.layers()[i];
    const bool product = op_table()[layer.kind].mac_form != MacForm::none;
    keep.push_back(product);
    if (!product) continue;
    for (const auto &[name, value] : fields)
      set_field(layer, name.cast<std::string>(), value.ptr());
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
