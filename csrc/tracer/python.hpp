/// Python objects through the C API: owned references, conversions, calls.
///
/// Conversions return false instead of raising: on the tracer's hot paths an exception would
/// cost more than the answer.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "recording/dims.hpp"

namespace bopscount::tracer {

namespace py = pybind11;

/// An owned reference, or null.
class Ref {
public:
  Ref() = default;
  /// Take over a reference that the caller owns.
  explicit Ref(PyObject *owned) : object_(owned) {}
  /// Return a new reference to a borrowed object.
  static Ref borrow(PyObject *object) { return Ref(Py_XNewRef(object)); }
  Ref(const Ref &) = delete;
  Ref &operator=(const Ref &) = delete;
  Ref(Ref &&other) noexcept : object_(other.release()) {}
  Ref &operator=(Ref &&other) noexcept {
    // Dropping the old object may run Python, which must find the new one here.
    PyObject *const old = object_;
    object_ = other.release();
    Py_XDECREF(old);
    return *this;
  }
  ~Ref() { Py_XDECREF(object_); }

  /// Return the object, borrowed.
  PyObject *get() const { return object_; }
  /// Give the reference to the caller.
  PyObject *release() {
    PyObject *object = object_;
    object_ = nullptr;
    return object;
  }
  explicit operator bool() const { return object_ != nullptr; }

private:
  PyObject *object_ = nullptr;
};

/// Return the reference; throw the pending Python error if it is null.
inline Ref checked(PyObject *owned) {
  if (owned == nullptr) throw py::error_already_set();
  return Ref(owned);
}

/// Call `call` and turn C++ exceptions into a Python error and null.
template <class Call> PyObject *guarded(Call call) {
  try {
    return call();
  } catch (py::error_already_set &error) {
    error.restore();
  } catch (const py::builtin_exception &error) {
    error.set_error();
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

/// Arguments of a vectorcall as a tuple and a dict.
struct Arguments {
  Ref positional, named;

  Arguments(PyObject *const *args, Py_ssize_t n_args, PyObject *keywords)
      : positional(checked(PyTuple_New(n_args))), named(checked(PyDict_New())) {
    for (Py_ssize_t i = 0; i < n_args; ++i)
      PyTuple_SET_ITEM(positional.get(), i, Py_NewRef(args[i]));
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < n_keywords; ++i)
      PyDict_SetItem(named.get(), PyTuple_GET_ITEM(keywords, i), args[n_args + i]);
  }
};

/// Convert an int that fits 64 bits; a bool is not an int here.
inline bool to_int(PyObject *value, std::int64_t &out) {
  if (value == nullptr || !PyLong_Check(value) || PyBool_Check(value)) return false;
  int overflow = 0;
  out = PyLong_AsLongLongAndOverflow(value, &overflow);
  return overflow == 0;
}

/// Convert a non-negative int that fits 32 bits.
inline bool to_size(PyObject *value, std::int32_t &out) {
  std::int64_t wide = 0;
  if (!to_int(value, wide) || wide < 0 || wide > INT32_MAX) return false;
  out = static_cast<std::int32_t>(wide);
  return true;
}

/// Convert a tuple of non-negative ints, such as torch.Size.
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

/// Return the sizes as a tuple of ints.
inline Ref to_tuple(const Dims &dims) {
  Ref tuple(PyTuple_New(static_cast<Py_ssize_t>(dims.rank)));
  for (std::size_t i = 0; i < dims.rank; ++i)
    PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), PyLong_FromLongLong(dims[i]));
  return tuple;
}

/// Whether a value is exactly an int or a float.
inline bool is_number(PyObject *value) {
  return PyLong_CheckExact(value) || PyFloat_CheckExact(value);
}

/// Return a dict's value, borrowed, or null without an error.
inline PyObject *item(PyObject *dict, PyObject *name) {
  return PyDict_GetItemWithError(dict, name);
}

} // namespace bopscount::tracer
