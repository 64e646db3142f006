/// Reading Python objects where every tenth of a microsecond counts: the C API,
/// interned names, and answers of "no" instead of exceptions.
#pragma once

#include <Python.h>

#include <cstdint>

#include "recording/dims.hpp"

namespace bopscount::bindings {

/// An owned reference.
class Ref {
public:
  Ref() = default;
  explicit Ref(PyObject *owned) : object_(owned) {}
  Ref(const Ref &) = delete;
  Ref &operator=(const Ref &) = delete;
  Ref(Ref &&other) noexcept : object_(other.release()) {}
  Ref &operator=(Ref &&other) noexcept {
    Py_XDECREF(object_);
    object_ = other.release();
    return *this;
  }
  ~Ref() { Py_XDECREF(object_); }

  PyObject *get() const { return object_; }
  PyObject *release() {
    PyObject *object = object_;
    object_ = nullptr;
    return object;
  }
  explicit operator bool() const { return object_ != nullptr; }

private:
  PyObject *object_ = nullptr;
};

/// Interned attribute names, made once.
struct Names {
  PyObject *shape, *dtype, *itemsize, *is_floating_point, *forward, *numel, *modules, *parameters,
      *buffers, *weight, *bias, *running_mean, *in_channels, *out_channels, *groups, *kernel_size,
      *stride, *padding, *dilation, *output_padding, *ceil_mode, *count_include_pad,
      *return_indices, *output_size, *in_features, *out_features, *num_features, *num_channels,
      *num_groups, *normalized_shape, *size, *inplace, *training, *start_dim, *end_dim, *dim,
      *embedding_dim, *scale_factor, *upscale_factor, *forward_hooks, *forward_pre_hooks,
      *backward_hooks, *backward_pre_hooks, *same, *mode, *padding_mode, *zeros, *reflect,
      *circular, *divisor_override, *approximate, *lambd, *data, *is_meta, *classify, *rewrite,
      *fall_back, *view, *constant, *run_for_real, *is_tainted, *call, *name, *fill, *adapt, *keep,
      *ask_stand_in, *getattr;
};
const Names &names();

/// The value as a 64-bit integer; false if it is no int (bools are none here).
inline bool to_int(PyObject *value, std::int64_t &out) {
  if (value == nullptr || !PyLong_Check(value) || PyBool_Check(value)) return false;
  int overflow = 0;
  out = PyLong_AsLongLongAndOverflow(value, &overflow);
  return overflow == 0;
}
/// The same for a non-negative value of 32 bits.
inline bool to_size(PyObject *value, std::int32_t &out) {
  std::int64_t wide = 0;
  if (!to_int(value, wide) || wide < 0 || wide > INT32_MAX) return false;
  out = static_cast<std::int32_t>(wide);
  return true;
}
/// A tuple of ints, such as torch.Size.
inline bool to_dims(PyObject *value, Dims &out) {
  if (value == nullptr || !PyTuple_Check(value)) return false;
  const Py_ssize_t rank = PyTuple_GET_SIZE(value);
  if (rank > static_cast<Py_ssize_t>(Dims::capacity)) return false;
  out.rank = 0;
  for (Py_ssize_t i = 0; i < rank; ++i) {
    std::int64_t size = 0;
    if (!to_int(PyTuple_GET_ITEM(value, i), size) || size < 0) return false;
    out.push(size);
  }
  return true;
}
/// The tuple of the sizes.
inline Ref to_tuple(const Dims &dims) {
  Ref tuple(PyTuple_New(static_cast<Py_ssize_t>(dims.rank)));
  for (std::size_t i = 0; i < dims.rank; ++i)
    PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), PyLong_FromLongLong(dims[i]));
  return tuple;
}

/// Borrowed attribute of a module's __dict__, or null; never raises.
inline PyObject *item(PyObject *dict, PyObject *name) {
  return PyDict_GetItemWithError(dict, name);
}

} // namespace bopscount::bindings
