#include "tracer/forms.hpp"

#include <string>

#include "tracer/names.hpp"

namespace bopscount::tracer {

const Dtype &Forms::dtype_of(PyObject *dtype) {
  const auto found = dtypes_.find(dtype);
  if (found != dtypes_.end()) return found->second;
  const Ref size = checked(PyObject_GetAttr(dtype, names().itemsize));
  const Ref floating = checked(PyObject_GetAttr(dtype, names().is_floating_point));
  std::int64_t bytes = 0;
  to_int(size.get(), bytes);
  const auto name = py::str(py::handle(dtype)).cast<std::string>();
  const bool index = name == "torch.int64" || name == "torch.int32";
  const bool integer = name.find("int") != std::string::npos;
  const bool complex = name.find("complex") != std::string::npos;
  const Dtype about{static_cast<std::uint8_t>(bytes), floating.get() == Py_True, index, integer,
                    complex};
  return dtypes_.emplace(dtype, about).first->second;
}

Ref Forms::make_tensor(const Form &form) {
  const FunctionModesOff off(modes_);
  // A shallow copy of a template is six times cheaper than another torch.empty.
  if (!form.tensor) {
    const Ref shape = to_tuple(form.dims);
    PyObject *arguments[] = {shape.get(), form.dtype, torch().meta};
    form.tensor = checked(PyObject_Vectorcall(torch().empty, arguments, 1, torch().empty_keywords));
  }
  return checked(PyObject_GetAttr(form.tensor.get(), names().data));
}

PyObject *Forms::size_of(const Form &form) {
  if (!form.size) form.size = checked(PyObject_CallOneArg(torch().size, to_tuple(form.dims).get()));
  return form.size.get();
}

std::size_t Forms::Hash::operator()(const Form &key) const {
  std::size_t hash = reinterpret_cast<std::size_t>(key.dtype);
  for (const std::int64_t size : key.dims)
    hash = (hash ^ static_cast<std::size_t>(size)) * 0x9E3779B97F4A7C15ULL;
  return hash;
}

} // namespace bopscount::tracer
