/// What the tracer's files share among themselves.
#pragma once

#include "tracer.hpp"

namespace bopscount::bindings {

/// Turns TorchFunctionModes off while it lives, so that reading a tensor is cheap.
class FunctionModesOff {
public:
  explicit FunctionModesOff(PyObject *disable) : guard_(PyObject_CallNoArgs(disable)) {
    if (guard_) Ref(PyObject_CallMethodNoArgs(guard_.get(), names().enter));
  }
  ~FunctionModesOff() {
    // An error may be on its way out; it must survive the call.
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (guard_)
      Ref(PyObject_CallMethodObjArgs(guard_.get(), names().exit, Py_None, Py_None, Py_None,
                                     nullptr));
    PyErr_Restore(type, value, traceback);
  }
  FunctionModesOff(const FunctionModesOff &) = delete;
  FunctionModesOff &operator=(const FunctionModesOff &) = delete;

private:
  Ref guard_;
};

/// The reference, or what Python raised as a C++ exception.
inline Ref checked(PyObject *owned) {
  if (owned == nullptr) throw py::error_already_set();
  return Ref(owned);
}

} // namespace bopscount::bindings
