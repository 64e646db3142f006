/// torch's stack of function modes, as one trace uses it.
#pragma once

#include "tracer/torch.hpp"

namespace bopscount::tracer {

/// Position of the trace's mode on the stack; disables all modes while the tracer reads tensors.
class FunctionModes {
public:
  FunctionModes();
  FunctionModes(const FunctionModes &) = delete;
  FunctionModes &operator=(const FunctionModes &) = delete;

  /// Set the height of the stack with the trace's mode on top.
  void set_height(long height) { height_ = height; }
  /// Whether torch would call the trace's mode before any other.
  bool is_on_top() const;

private:
  friend class FunctionModesOff;
  Ref disable_, enable_; ///< of one torch._C.DisableTorchFunction
  int off_depth_ = 0;
  long height_ = 0;
};

/// Scope in which torch calls no function mode, so that reading a tensor is cheap.
class FunctionModesOff {
public:
  explicit FunctionModesOff(FunctionModes &modes) : modes_(modes) {
    if (modes_.off_depth_++ == 0) Ref(PyObject_CallNoArgs(modes_.disable_.get()));
  }
  ~FunctionModesOff() {
    if (--modes_.off_depth_ > 0) return;
    // A pending error must survive the call.
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *nothing[] = {Py_None, Py_None, Py_None};
    Ref(PyObject_Vectorcall(modes_.enable_.get(), nothing, 3, nullptr));
    PyErr_Restore(type, value, traceback);
  }
  FunctionModesOff(const FunctionModesOff &) = delete;
  FunctionModesOff &operator=(const FunctionModesOff &) = delete;

private:
  FunctionModes &modes_;
};

/// Scope in which the topmost mode is off the stack, as torch does while it calls that mode.
class ModePopped {
public:
  ModePopped();
  ~ModePopped();
  ModePopped(const ModePopped &) = delete;
  ModePopped &operator=(const ModePopped &) = delete;

private:
  Ref mode_;
};

} // namespace bopscount::tracer
