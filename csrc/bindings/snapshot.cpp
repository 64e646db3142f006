#include "snapshot.hpp"

#include <unordered_set>

namespace bopscount::bindings {
namespace {

Ref borrowed(PyObject *object) {
  Py_XINCREF(object);
  return Ref(object);
}

bool is_container(PyObject *value) {
  return PyDict_Check(value) || PyList_Check(value) || PyAnySet_Check(value);
}

} // namespace

Snapshot::Snapshot(const py::object &model) {
  std::unordered_set<PyObject *> seen{model.ptr()};
  std::vector<PyObject *> stack{model.ptr()};
  while (!stack.empty()) {
    PyObject *module = stack.back();
    stack.pop_back();
    const Ref dict(PyObject_GenericGetDict(module, nullptr));
    if (!dict) throw py::error_already_set();
    module_dicts_.push_back(dict.get());
    save(dict.get());
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict.get(), &position, &key, &value))
      if (is_container(value)) save(value);
    PyObject *modules = item(dict.get(), names().modules);
    if (modules == nullptr || !PyDict_Check(modules)) continue;
    position = 0;
    while (PyDict_Next(modules, &position, &key, &value))
      if (value != Py_None && seen.insert(value).second) stack.push_back(value);
  }
}

void Snapshot::save(PyObject *container) {
  Contents contents{borrowed(container), {}};
  if (PyDict_Check(container)) {
    contents.items.reserve(static_cast<std::size_t>(PyDict_GET_SIZE(container)));
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(container, &position, &key, &value))
      contents.items.emplace_back(borrowed(key), borrowed(value));
  } else if (PyList_Check(container)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(container); ++i)
      contents.items.emplace_back(Ref(), borrowed(PyList_GET_ITEM(container, i)));
  } else {
    const Ref iterator(PyObject_GetIter(container));
    while (PyObject *value = PyIter_Next(iterator.get()))
      contents.items.emplace_back(Ref(), Ref(value));
  }
  saved_.push_back(std::move(contents));
}

/// Compares by identity: values may be tensors.
bool Snapshot::unchanged(const Contents &saved) {
  PyObject *container = saved.container.get();
  const auto size = static_cast<Py_ssize_t>(saved.items.size());
  if (PyDict_Check(container)) {
    if (PyDict_GET_SIZE(container) != size) return false;
    PyObject *key, *value;
    Py_ssize_t position = 0;
    for (const auto &[saved_key, saved_value] : saved.items)
      if (!PyDict_Next(container, &position, &key, &value) || key != saved_key.get() ||
          value != saved_value.get())
        return false;
    return true;
  }
  if (PyList_Check(container)) {
    if (PyList_GET_SIZE(container) != size) return false;
    for (Py_ssize_t i = 0; i < size; ++i)
      if (PyList_GET_ITEM(container, i) != saved.items[static_cast<std::size_t>(i)].second.get())
        return false;
    return true;
  }
  if (PySet_GET_SIZE(container) != size) return false;
  for (const auto &[none, value] : saved.items)
    if (PySet_Contains(container, value.get()) != 1) return false;
  return true;
}

void Snapshot::put_back(const Contents &saved) {
  const auto container = py::reinterpret_borrow<py::object>(saved.container.get());
  if (PyFrozenSet_Check(container.ptr())) return;
  container.attr("clear")();
  for (const auto &[key, value] : saved.items) {
    if (PyDict_Check(container.ptr()))
      PyObject_SetItem(container.ptr(), key.get(), value.get());
    else
      container.attr(PyList_Check(container.ptr()) ? "append" : "add")(py::handle(value.get()));
    if (PyErr_Occurred()) throw py::error_already_set();
  }
}

void Snapshot::set_eval() {
  for (PyObject *dict : module_dicts_)
    if (item(dict, names().training) == Py_True) PyDict_SetItem(dict, names().training, Py_False);
}

void Snapshot::restore() {
  for (const Contents &saved : saved_) {
    if (unchanged(saved)) continue;
    // The usual change is a flag: then the values alone do, and the dict keeps its form.
    if (PyDict_CheckExact(saved.container.get()) &&
        PyDict_GET_SIZE(saved.container.get()) == static_cast<Py_ssize_t>(saved.items.size())) {
      for (const auto &[key, value] : saved.items)
        PyDict_SetItem(saved.container.get(), key.get(), value.get());
      if (unchanged(saved)) continue;
    }
    put_back(saved);
  }
}

void register_snapshot(py::module_ &module) {
  py::class_<Snapshot>(module, "Snapshot", "What the modules of a model hold.")
      .def(py::init<const py::object &>(), py::arg("model"))
      .def("set_eval", &Snapshot::set_eval)
      .def("restore", &Snapshot::restore);
}

} // namespace bopscount::bindings
