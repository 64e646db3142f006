/// What the tracer's files share among themselves.
#pragma once

#include "tracer/tracer.hpp"

namespace bopscount::bindings {

/// Turns TorchFunctionModes off while it lives, so that reading a tensor is cheap.
class FunctionModesOff {
public:
  explicit FunctionModesOff(Tracer &tracer) : tracer_(tracer) {
    if (tracer_.modes_off_depth_++ == 0) Ref(PyObject_CallNoArgs(tracer_.modes_off_.get()));
  }
  ~FunctionModesOff() {
    if (--tracer_.modes_off_depth_ > 0) return;
    // An error may be on its way out; it must survive the call.
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *nothing[] = {Py_None, Py_None, Py_None};
    Ref(PyObject_Vectorcall(tracer_.modes_on_.get(), nothing, 3, nullptr));
    PyErr_Restore(type, value, traceback);
  }
  FunctionModesOff(const FunctionModesOff &) = delete;
  FunctionModesOff &operator=(const FunctionModesOff &) = delete;

private:
  Tracer &tracer_;
};

/// The reference, or what Python raised as a C++ exception.
inline Ref checked(PyObject *owned) {
  if (owned == nullptr) throw py::error_already_set();
  return Ref(owned);
}

/// What the tracer asks torch for, looked up once a process.
struct Torch {
  PyTypeObject *tensor, *parameter, *module, *script_method;
  PyObject *empty, *meta, *disable, *module_call, *module_getattr, *empty_keywords, *peek_transform,
      *size, *handle, *n_function_modes, *function_mode_enabled, *pop_function_mode,
      *push_function_mode;
};
const Torch &torch();

/// Whether a transform such as vmap is around the call: then only torch knows the shapes.
inline bool is_transformed() {
  const Ref transform = checked(PyObject_CallNoArgs(torch().peek_transform));
  return transform.get() != Py_None;
}

/// Whether an index makes a view: of numbers, slices, None and Ellipsis.
inline bool is_basic_index(PyObject *index) {
  if (PyTuple_Check(index)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(index); ++i)
      if (PyTuple_Check(PyTuple_GET_ITEM(index, i)) || !is_basic_index(PyTuple_GET_ITEM(index, i)))
        return false;
    return true;
  }
  return PyLong_CheckExact(index) || PySlice_Check(index) || index == Py_None ||
         index == Py_Ellipsis;
}

/// Arguments of a vector call as a tuple and a dict.
struct Arguments {
  Ref positional, named;

  Arguments(PyObject *const *args, Py_ssize_t n_args, PyObject *keywords)
      : positional(checked(PyTuple_New(n_args))), named(checked(PyDict_New())) {
    for (Py_ssize_t i = 0; i < n_args; ++i) {
      Py_INCREF(args[i]);
      PyTuple_SET_ITEM(positional.get(), i, args[i]);
    }
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < n_keywords; ++i)
      PyDict_SetItem(named.get(), PyTuple_GET_ITEM(keywords, i), args[n_args + i]);
  }
};

/// Takes the topmost mode, a tracer's, off the stack of function modes while it lives, as torch
/// does for it.
class ModePopped {
public:
  ModePopped();
  ~ModePopped();
  ModePopped(const ModePopped &) = delete;
  ModePopped &operator=(const ModePopped &) = delete;

private:
  Ref mode_;
};

/// Gives torch's functions entries that ask the active tracer first, while it lives.
class DirectCalls {
public:
  DirectCalls();
  ~DirectCalls();
  DirectCalls(const DirectCalls &) = delete;
  DirectCalls &operator=(const DirectCalls &) = delete;
};

/// The tracer that is active in this thread; null if there is none.
Tracer *tracer_here();

/// Calls a module as if nobody traced.
PyObject *call_as_ever(PyObject *module, PyObject *args, PyObject *keywords);

/// Runs `call` for Python: C++ exceptions become Python's, and null.
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

} // namespace bopscount::bindings
