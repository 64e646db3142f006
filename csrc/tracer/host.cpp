#include "tracer/host.hpp"

#include <string>

namespace bopscount::tracer {
namespace {

Ref method_of(PyObject *host, const char *name) {
  Ref method(PyObject_GetAttrString(host, name));
  if (!method && !PyErr_ExceptionMatches(PyExc_AttributeError)) throw py::error_already_set();
  PyErr_Clear();
  if (!method || !PyCallable_Check(method.get()))
    throw py::type_error(std::string(Py_TYPE(host)->tp_name) + " is no TraceHost: it has no " +
                         name + "()");
  return method;
}

template <class... Args> PyObject *call(const Ref &method, Args *...args) {
  // Slot 0 is the callee's, for `self` of a bound method.
  PyObject *all[] = {nullptr, args...};
  return PyObject_Vectorcall(method.get(), all + 1,
                             sizeof...(args) | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
}

} // namespace

Host::Host(PyObject *host)
    : object_(Ref::borrow(host)), classify_(method_of(host, "classify")),
      adapt_(method_of(host, "adapt")), rewrite_(method_of(host, "rewrite")),
      is_tainted_(method_of(host, "is_tainted")), keep_(method_of(host, "keep")),
      view_(method_of(host, "view")), constant_(method_of(host, "constant")),
      run_for_real_(method_of(host, "run_for_real")),
      ask_stand_in_(method_of(host, "ask_stand_in")), fall_back_(method_of(host, "fall_back")) {}

void Host::release() {
  for (Ref *each : {&object_, &classify_, &adapt_, &rewrite_, &is_tainted_, &keep_, &view_,
                    &constant_, &run_for_real_, &ask_stand_in_, &fall_back_})
    *each = Ref();
}

Classified Host::classify(PyTypeObject *cls) const {
  const Ref answer = checked(call(classify_, reinterpret_cast<PyObject *>(cls)));
  const auto fields = py::reinterpret_borrow<py::tuple>(answer.get());
  return {.leaf = fields[0].cast<bool>(),
          .registered = fields[2].cast<bool>(),
          .sequential = fields[3].cast<bool>(),
          .adapted = fields[4].cast<bool>(),
          .rule = Ref(py::object(fields[1]).release().ptr())};
}

Adapted Host::adapt(PyObject *module, std::int32_t node) const {
  const Ref number = checked(PyLong_FromLong(node));
  Ref answer = checked(call(adapt_, module, number.get()));
  Adapted about;
  if (answer.get() == Py_None) return about;
  if (!PyTuple_Check(answer.get())) {
    about.inner = std::move(answer);
    return about;
  }
  about.is_leaf = true;
  PyObject *rule = PyTuple_GET_ITEM(answer.get(), 0);
  if (rule != Py_None) about.rule = Ref::borrow(rule);
  to_int(PyTuple_GET_ITEM(answer.get(), 1), about.logical_params);
  return about;
}

bool Host::rewrite(PyObject *module, std::size_t mark, PyObject *args, PyObject *output) const {
  const Ref number = checked(PyLong_FromSize_t(mark));
  return static_cast<bool>(Ref(call(rewrite_, module, number.get(), args, output)));
}

bool Host::is_tainted(PyObject *tensor) const {
  return checked(call(is_tainted_, tensor)).get() == Py_True;
}

void Host::keep(PyObject *tensor) const { checked(call(keep_, tensor)); }

PyObject *Host::view(PyObject *func, PyObject *args, PyObject *kwargs) const {
  return call(view_, func, args, kwargs);
}

PyObject *Host::constant(PyObject *rule, PyObject *func, PyObject *args, PyObject *kwargs,
                         std::int64_t elements) const {
  const Ref number = checked(PyLong_FromLongLong(elements));
  return call(constant_, rule, func, args, kwargs, number.get());
}

PyObject *Host::run_for_real(PyObject *func, PyObject *args, PyObject *kwargs,
                             PyObject *recorded) const {
  return call(run_for_real_, func, args, kwargs, recorded);
}

PyObject *Host::ask_stand_in(PyObject *cls, PyObject *func, PyObject *types, PyObject *args,
                             PyObject *kwargs) const {
  return call(ask_stand_in_, cls, func, types, args, kwargs);
}

PyObject *Host::fall_back(PyObject *func, PyObject *args, PyObject *kwargs) const {
  return call(fall_back_, func, args, kwargs);
}

} // namespace bopscount::tracer
