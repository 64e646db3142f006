#include "tracer/torch_overrides.hpp"

#include "tracer/tracer.hpp"

namespace bopscount::tracer {
namespace {

/// Return the first class among `types` that is no tensor but stands in for one, as quantized
/// tensors of other libraries do; null if there is none.
PyObject *stand_in_among(PyObject *types) {
  for (Py_ssize_t i = 0; PyTuple_Check(types) && i < PyTuple_GET_SIZE(types); ++i) {
    PyObject *type = PyTuple_GET_ITEM(types, i);
    if (PyType_Check(type) &&
        !PyType_IsSubtype(reinterpret_cast<PyTypeObject *>(type), torch().tensor))
      return type;
  }
  return nullptr;
}

/// __torch_function__(func, types, args=(), kwargs=None).
PyObject *torch_function(PyObject *, PyObject *const *args, Py_ssize_t n_args) {
  return guarded([&]() -> PyObject * {
    if (n_args < 2 || n_args > 4) throw py::type_error("__torch_function__ takes 2 to 4 arguments");
    const Ref none(PyTuple_New(0));
    PyObject *given = n_args > 2 ? args[2] : none.get();
    const bool named = n_args > 3 && args[3] != Py_None;
    const Ref empty(named ? nullptr : PyDict_New());
    PyObject *keywords = named ? args[3] : empty.get();
    FunctionDispatch &functions = active_tracer().functions();
    if (PyObject *type = stand_in_among(args[1]))
      return functions.call_stand_in(type, args[0], args[1], given, keywords);
    return functions.call(args[0], given, keywords);
  });
}

/// handle_torch_function(function, relevant, *args, **keywords).
PyObject *handle_torch_function(PyObject *, PyObject *const *args, Py_ssize_t n_args,
                                PyObject *names) {
  const Py_ssize_t n_named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  if (n_args >= 2) {
    if (Tracer *const tracer = tracer_asked(args + 1, n_args + n_named - 1))
      return guarded([&]() -> PyObject * {
        const Arguments given(args + 2, n_args - 2, names);
        if (const Answer *answer = tracer->answers().find(args[0]))
          if (PyObject *out = tracer->functions().fast_path(*answer, args[0], given)) return out;
        if (PyErr_Occurred()) return nullptr;
        const ModePopped popped;
        return tracer->functions().call(args[0], given.positional.get(), given.named.get());
      });
  }
  return PyObject_Vectorcall(torch().handle_function, args, static_cast<std::size_t>(n_args),
                             names);
}

template <class Function> PyCFunction as_c_function(Function function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef torch_function_method = {"__torch_function__", as_c_function(&torch_function),
                                     METH_FASTCALL, "Answer a torch function for the trace."};
PyMethodDef handle_method = {"handle_torch_function", as_c_function(&handle_torch_function),
                             METH_FASTCALL | METH_KEYWORDS,
                             "Answer for the active tracer; without one, as torch's own."};

} // namespace

py::object make_torch_function() {
  const py::object mode = py::module_::import("torch.overrides").attr("TorchFunctionMode");
  return py::reinterpret_steal<py::object>(
      PyDescr_NewMethod(reinterpret_cast<PyTypeObject *>(mode.ptr()), &torch_function_method));
}

py::object make_handle_torch_function() {
  return py::reinterpret_steal<py::object>(PyCFunction_New(&handle_method, nullptr));
}

} // namespace bopscount::tracer
