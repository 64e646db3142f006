#include "tracer/torch.hpp"

namespace bopscount::tracer {

const Torch &torch() {
  static const Torch found = [] {
    const auto get = [](const char *module, const char *name) {
      return py::object(py::module_::import(module).attr(name)).release().ptr();
    };
    const auto get_type = [&](const char *module, const char *name) {
      return reinterpret_cast<PyTypeObject *>(get(module, name));
    };
    const py::object module = py::module_::import("torch.nn").attr("Module");
    return Torch{
        .tensor = get_type("torch", "Tensor"),
        .parameter = get_type("torch.nn", "Parameter"),
        .module = get_type("torch.nn", "Module"),
        .script_method = get_type("torch._C", "ScriptMethod"),
        .empty = get("torch", "empty"),
        .empty_keywords = py::make_tuple("dtype", "device").release().ptr(),
        .meta = py::object(py::module_::import("torch").attr("device")("meta")).release().ptr(),
        .size = get("torch", "Size"),
        .module_call = py::object(module.attr("__call__")).release().ptr(),
        .module_getattr = py::object(module.attr("__getattr__")).release().ptr(),
        .peek_transform = get("torch._C._functorch", "peek_interpreter_stack"),
        .handle_function = get("torch.overrides", "handle_torch_function"),
        .disable_modes = get("torch._C", "DisableTorchFunction"),
        .n_function_modes = get("torch._C", "_len_torch_function_stack"),
        .function_mode_enabled = get("torch._C", "_is_torch_function_mode_enabled"),
        .pop_function_mode = get("torch._C", "_pop_torch_function_stack"),
        .push_function_mode = get("torch._C", "_push_on_torch_function_stack")};
  }();
  return found;
}

Ref call_torch(const char *name, PyObject *argument) {
  static PyObject *const c = py::module_::import("torch._C").release().ptr();
  const Ref function(PyObject_GetAttrString(c, name));
  Ref result(argument == nullptr ? PyObject_CallNoArgs(function.get())
                                 : PyObject_CallOneArg(function.get(), argument));
  if (!result) PyErr_WriteUnraisable(function.get());
  return result;
}

} // namespace bopscount::tracer
