#include <pybind11/stl.h>

#include <optional>

#include "bindings/bindings.hpp"
#include "recording/shape_rules.hpp"
#include "tracer/torch_overrides.hpp"
#include "tracer/tracer.hpp"

namespace bopscount::bindings {
namespace {

using tracer::active_tracer;
using tracer::guarded;

/// Whether keyword argument `i` of a vectorcall has this name.
bool is_named(PyObject *keywords, Py_ssize_t i, const char *name) {
  return PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, i), name) == 0;
}

// Rules call these two for every op: parsing the arguments here takes a third of pybind11's time.

/// emit(kind, op, operands, shape=None, dtype=None, *, channel_axis, batched=True,
/// fields=None, into=None).
PyObject *emit(PyObject *, PyObject *const *args, Py_ssize_t n_args, PyObject *keywords) {
  return guarded([&]() -> PyObject * {
    if (n_args < 3 || n_args > 5 || !PyLong_Check(args[0]) || !PyUnicode_Check(args[1]) ||
        !PyTuple_Check(args[2]))
      throw py::type_error("emit takes a kind, the name of an op, and a tuple of operands");
    tracer::Op op;
    op.kind = static_cast<std::uint16_t>(PyLong_AsLong(args[0]));
    op.name = args[1];
    op.operands = args[2];
    if (n_args > 3) op.shape = args[3];
    if (n_args > 4) op.dtype = args[4];
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < n_keywords; ++i) {
      PyObject *value = args[n_args + i];
      if (is_named(keywords, i, "fields"))
        op.fields = value;
      else if (is_named(keywords, i, "into"))
        op.into = value;
      else if (is_named(keywords, i, "channel_axis"))
        op.channel_axis = static_cast<int>(PyLong_AsLong(value));
      else if (is_named(keywords, i, "batched"))
        op.batched = PyObject_IsTrue(value) == 1;
      else
        throw py::type_error("emit has no such argument");
    }
    if (PyErr_Occurred()) return nullptr;
    return active_tracer().recorder().emit(op).release().ptr();
  });
}

/// alias(tensor, base).
PyObject *alias(PyObject *, PyObject *const *args, Py_ssize_t n_args) {
  return guarded([&]() -> PyObject * {
    if (n_args != 2) throw py::type_error("alias takes a tensor and its base");
    active_tracer().recorder().alias(args[0], args[1]);
    Py_RETURN_NONE;
  });
}

PyMethodDef functions[] = {
    {"emit", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&emit)),
     METH_FASTCALL | METH_KEYWORDS,
     "Record an op; return `into`, or a new meta tensor of `shape`, or None."},
    {"alias", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&alias)), METH_FASTCALL,
     "Record that `tensor` is a view of `base`, or `base` itself."},
    {nullptr, nullptr, 0, nullptr}};

} // namespace

void register_rule_functions(py::module_ &module) {
  PyModule_AddFunctions(module.ptr(), functions);
  module.def(
      "answer",
      [](std::size_t rule, const py::str &op, const py::object &input, const py::dict &attributes,
         const py::object &weight, const py::object &bias, const py::object &dtype,
         const std::optional<py::tuple> &others) {
        return active_tracer().leaves().answer_function(
            rule, op.ptr(), input.ptr(), attributes.ptr(), weight.ptr(), bias.ptr(), dtype.ptr(),
            others ? others->ptr() : Py_None);
      },
      py::arg("rule"), py::arg("op"), py::arg("input"), py::arg("attributes"),
      py::arg("weight") = py::none(), py::arg("bias") = py::none(), py::arg("dtype") = py::none(),
      py::arg("others") = py::none(),
      "Return the output by the leaf rule for a module with such attributes, recorded, or None.");
  module.def(
      "broadcast_shape",
      [](const py::tuple &left, const py::tuple &right) -> py::object {
        Dims one, other, out;
        if (!tracer::to_dims(left.ptr(), one) || !tracer::to_dims(right.ptr(), other) ||
            !broadcast_shape(one, other, out))
          return py::none();
        return py::reinterpret_steal<py::object>(tracer::to_tuple(out).release());
      },
      py::arg("left"), py::arg("right"),
      "Return the shape that two shapes broadcast to, or None if they do not.");
  module.def("torch_function", &tracer::make_torch_function,
             "Return the method that is a function mode's __torch_function__.");
  module.attr("handle_torch_function") = tracer::make_handle_torch_function();
}

} // namespace bopscount::bindings
