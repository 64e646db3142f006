#include "tracer/snapshot.hpp"

#include "tracer/names.hpp"

namespace bopscount::tracer {
namespace {

bool is_container(PyObject *value) {
  return PyDict_Check(value) || PyList_Check(value) || PyAnySet_Check(value);
}

/// Whether a dict may have another order than PyDict_Next's: an OrderedDict has one of its own.
bool is_reordered(PyObject *dict) { return PyODict_Check(dict) && PyDict_GET_SIZE(dict) > 1; }

/// Call visit(key, value) for the items of a dict in its order, until it returns false.
template <class Visit> bool for_each_item(PyObject *dict, Visit visit) {
  PyObject *key, *value;
  if (!is_reordered(dict)) {
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &key, &value))
      if (!visit(key, value)) return false;
    return true;
  }
  const Ref iterator(PyObject_GetIter(dict));
  while (const Ref next{PyIter_Next(iterator.get())}) {
    value = PyDict_GetItemWithError(dict, next.get());
    if (value != nullptr && !visit(next.get(), value)) return false;
  }
  return true;
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
    while (PyDict_Next(dict.get(), &position, &key, &value)) save_all_of(value);
    PyObject *modules = item(dict.get(), names().modules);
    if (modules == nullptr || !PyDict_Check(modules)) continue;
    position = 0;
    while (PyDict_Next(modules, &position, &key, &value))
      if (value != Py_None && seen.insert(value).second) stack.push_back(value);
  }
}

/// Save a container and those inside it, also in tuples.
void Snapshot::save_all_of(PyObject *value) {
  if (!is_container(value) && !PyTuple_Check(value)) return;
  std::vector<PyObject *> stack{value};
  while (!stack.empty()) {
    PyObject *outer = stack.back();
    stack.pop_back();
    const std::size_t first = items_.size();
    if (is_container(outer)) {
      save(outer);
      for (std::size_t i = first; i < items_.size(); ++i) push_nested(items_[i].value, stack);
    } else {
      for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(outer); ++i)
        push_nested(PyTuple_GET_ITEM(outer, i), stack);
    }
  }
}

/// Push a container once: containers may hold each other.
void Snapshot::push_nested(PyObject *value, std::vector<PyObject *> &stack) {
  if ((is_container(value) || PyTuple_Check(value)) && nested_.insert(value).second)
    stack.push_back(value);
}

Snapshot::~Snapshot() {
  for (const Item &saved : items_) {
    Py_XDECREF(saved.key);
    Py_DECREF(saved.value);
  }
  for (const Contents &saved : saved_) Py_DECREF(saved.container);
}

void Snapshot::add(PyObject *key, PyObject *value) {
  items_.push_back({Py_XNewRef(key), Py_NewRef(value)});
}

void Snapshot::save(PyObject *container) {
  const std::size_t first = items_.size();
  if (PyDict_Check(container)) {
    for_each_item(container, [&](PyObject *key, PyObject *value) { return add(key, value), true; });
  } else if (PyList_Check(container)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(container); ++i)
      add(nullptr, PyList_GET_ITEM(container, i));
  } else {
    const Ref iterator(PyObject_GetIter(container));
    while (const Ref value{PyIter_Next(iterator.get())}) add(nullptr, value.get());
  }
  saved_.push_back({Py_NewRef(container), first, items_.size() - first});
}

/// Compare by identity: values may be tensors.
bool Snapshot::unchanged(const Contents &saved) const {
  PyObject *container = saved.container;
  const auto size = static_cast<Py_ssize_t>(saved.size);
  const std::span<const Item> items = items_of(saved);
  if (PyDict_Check(container)) {
    if (PyDict_GET_SIZE(container) != size) return false;
    auto saved_item = items.begin();
    return for_each_item(container, [&](PyObject *key, PyObject *value) {
      const Item &before = *saved_item++;
      return key == before.key && value == before.value;
    });
  }
  if (PyList_Check(container)) {
    if (PyList_GET_SIZE(container) != size) return false;
    for (Py_ssize_t i = 0; i < size; ++i)
      if (PyList_GET_ITEM(container, i) != items[static_cast<std::size_t>(i)].value) return false;
    return true;
  }
  if (PySet_GET_SIZE(container) != size) return false;
  for (const Item &saved_item : items)
    if (PySet_Contains(container, saved_item.value) != 1) return false;
  return true;
}

void Snapshot::put_back(const Contents &saved) const {
  const auto container = py::reinterpret_borrow<py::object>(saved.container);
  if (PyFrozenSet_Check(container.ptr())) return;
  container.attr("clear")();
  for (const auto &[key, value] : items_of(saved)) {
    if (PyDict_Check(container.ptr()))
      PyObject_SetItem(container.ptr(), key, value);
    else
      container.attr(PyList_Check(container.ptr()) ? "append" : "add")(py::handle(value));
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
    // The usual change is a flag: setting the values then keeps the dict's layout.
    PyObject *const container = saved.container;
    if (PyDict_CheckExact(container) &&
        PyDict_GET_SIZE(container) == static_cast<Py_ssize_t>(saved.size)) {
      for (const auto &[key, value] : items_of(saved)) PyDict_SetItem(container, key, value);
      if (unchanged(saved)) continue;
    }
    put_back(saved);
  }
}

} // namespace bopscount::tracer
