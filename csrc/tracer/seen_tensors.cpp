#include "tracer/seen_tensors.hpp"

#include "tracer/names.hpp"

namespace bopscount::tracer {

void SeenTensors::add(PyObject *tensor, Recording::Slot slot, const Form *form) {
  const auto [entry, is_new] = seen_.insert_or_assign(tensor, Seen{slot, form, form != nullptr});
  if (is_new) kept_.push_back(Ref::borrow(tensor));
}

bool SeenTensors::look(PyObject *tensor, Value &value) {
  value.tensor = tensor;
  Seen *const seen = find_mutable(tensor);
  if (seen != nullptr) {
    value.slot = seen->slot;
    value.form = seen->form;
    if (value.form != nullptr) return true;
  }
  const FunctionModesOff off(modes_);
  const Ref size(PyObject_GetAttr(tensor, names().shape));
  const Ref dtype(size ? PyObject_GetAttr(tensor, names().dtype) : nullptr);
  Dims dims;
  if (!dtype || !to_dims(size.get(), dims)) {
    PyErr_Clear();
    return false;
  }
  value.form = forms_.form_of(dims, dtype.get());
  if (seen != nullptr) seen->form = value.form;
  return true;
}

bool SeenTensors::look_at_floats(PyObject *tensor, Value &value) {
  return tensor != nullptr &&
         (Py_TYPE(tensor) == torch().tensor || Py_TYPE(tensor) == torch().parameter) &&
         look(tensor, value) && forms_.dtype_of(value.form->dtype).floating;
}

PyObject *SeenTensors::tensor_of(const Value &value) {
  if (value.tensor != nullptr) return Py_NewRef(value.tensor);
  Ref tensor = forms_.make_tensor(*value.form);
  add(tensor.get(), value.slot, value.form);
  return tensor.release();
}

bool SeenTensors::is_on_meta(PyObject *tensor) {
  if (Py_TYPE(tensor) != torch().tensor) return false;
  Seen *const seen = find_mutable(tensor);
  if (seen == nullptr) return false;
  if (!seen->made && !seen->on_meta) {
    const FunctionModesOff off(modes_);
    seen->on_meta = checked(PyObject_GetAttr(tensor, names().is_meta)).get() == Py_True;
  }
  return seen->made || seen->on_meta;
}

bool SeenTensors::is_live(PyObject *tensor) const {
  if (is_made(tensor)) return true;
  const Ref is_meta = checked(PyObject_GetAttr(tensor, names().is_meta));
  if (is_meta.get() == Py_True) return true;
  if (Py_TYPE(tensor) != torch().tensor &&
      PyObject_IsInstance(tensor, reinterpret_cast<PyObject *>(torch().parameter)) == 1)
    return true;
  return host_.is_tainted(tensor);
}

void SeenTensors::forget_forms(PyObject *args) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i)
    if (Seen *const seen = find_mutable(PyTuple_GET_ITEM(args, i))) seen->form = nullptr;
}

void SeenTensors::clear() {
  kept_.clear();
  seen_.clear();
}

} // namespace bopscount::tracer
