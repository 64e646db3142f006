/// Objects of torch that the tracer uses.
#pragma once

#include "tracer/python.hpp"

namespace bopscount::tracer {

/// Classes and functions of torch; borrowed from references that live as long as the process.
struct Torch {
  PyTypeObject *tensor, *parameter, *module, *script_method;
  PyObject *empty;           ///< torch.empty
  PyObject *empty_keywords;  ///< ("dtype", "device")
  PyObject *meta;            ///< torch.device("meta")
  PyObject *size;            ///< torch.Size
  PyObject *module_call;     ///< nn.Module.__call__
  PyObject *module_getattr;  ///< nn.Module.__getattr__
  PyObject *peek_transform;  ///< torch._C._functorch.peek_interpreter_stack
  PyObject *handle_function; ///< torch.overrides.handle_torch_function
  PyObject *disable_modes;   ///< torch._C.DisableTorchFunction
  PyObject *n_function_modes, *function_mode_enabled, *pop_function_mode, *push_function_mode;
};

/// Return the objects, looked up at the first call.
const Torch &torch();

/// Call a function of torch._C by name. Reports an error as unraisable and returns null.
Ref call_torch(const char *name, PyObject *argument = nullptr);

/// Whether a functorch transform such as vmap is active: then only torch knows the shapes.
inline bool is_transformed() {
  const Ref transform = checked(PyObject_CallNoArgs(torch().peek_transform));
  return transform.get() != Py_None;
}

/// Whether a value is a tensor, of a subclass too.
inline bool is_tensor(PyObject *value) {
  PyTypeObject *type = Py_TYPE(value);
  if (type == torch().tensor || type == torch().parameter) return true;
  return PyType_IsSubtype(type, torch().tensor);
}

} // namespace bopscount::tracer
