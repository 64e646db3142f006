#include "tracer/function_modes.hpp"

namespace bopscount::tracer {
namespace {

/// Call a function with no or one argument; skip the call protocol if it is a C function.
PyObject *call_c(PyObject *function, PyObject *argument = nullptr) {
  const int convention = argument == nullptr ? METH_NOARGS : METH_O;
  if (PyCFunction_CheckExact(function) && PyCFunction_GET_FLAGS(function) == convention)
    return PyCFunction_GET_FUNCTION(function)(PyCFunction_GET_SELF(function), argument);
  return argument == nullptr ? PyObject_CallNoArgs(function)
                             : PyObject_CallOneArg(function, argument);
}

} // namespace

FunctionModes::FunctionModes() {
  const Ref modes = checked(PyObject_CallNoArgs(torch().disable_modes));
  disable_ = checked(PyObject_GetAttrString(modes.get(), "__enter__"));
  enable_ = checked(PyObject_GetAttrString(modes.get(), "__exit__"));
}

bool FunctionModes::is_on_top() const {
  if (off_depth_ > 0) return false;
  const Ref height(call_c(torch().n_function_modes));
  if (!height || PyLong_AsLong(height.get()) != height_) return PyErr_Clear(), false;
  const Ref enabled(call_c(torch().function_mode_enabled));
  return PyErr_Clear(), enabled.get() == Py_True;
}

ModePopped::ModePopped() : mode_(checked(call_c(torch().pop_function_mode))) {}
ModePopped::~ModePopped() {
  // A pending error must survive the call.
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  Ref(call_c(torch().push_function_mode, mode_.get()));
  PyErr_Restore(type, value, traceback);
}

} // namespace bopscount::tracer
