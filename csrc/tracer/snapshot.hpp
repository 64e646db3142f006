/// What the modules of a model hold, kept so that it can be put back.
#pragma once

#include <pybind11/pybind11.h>

#include <span>
#include <unordered_set>
#include <vector>

#include "tracer/python.hpp"

namespace bopscount::bindings {

namespace py = pybind11;

/// Attributes of every module by identity, and the contents of plain containers
/// among them (dict, list, set), nested ones too.
class Snapshot {
public:
  /// Of `model` and all modules below it. Iterative.
  explicit Snapshot(const py::object &model);
  ~Snapshot();
  Snapshot(const Snapshot &) = delete;
  Snapshot &operator=(const Snapshot &) = delete;

  /// Puts every module into eval mode, in its __dict__: `restore` undoes it.
  void set_eval();
  /// Puts back whatever has changed.
  void restore();

private:
  /// A container and where its items stand in `items_`; all references are owned.
  struct Contents {
    PyObject *container;
    std::size_t first, size;
  };
  struct Item {
    PyObject *key; ///< null in lists and sets
    PyObject *value;
  };

  void save(PyObject *container);
  void save_all_of(PyObject *value);
  void push_nested(PyObject *value, std::vector<PyObject *> &stack);
  void add(PyObject *key, PyObject *value);
  std::span<const Item> items_of(const Contents &saved) const {
    return {items_.data() + saved.first, saved.size};
  }
  bool unchanged(const Contents &saved) const;
  void put_back(const Contents &saved) const;

  std::vector<Contents> saved_;
  std::vector<Item> items_;
  std::vector<PyObject *> module_dicts_;  ///< borrowed from saved_
  std::unordered_set<PyObject *> nested_; ///< containers inside others, and tuples
};

void register_snapshot(py::module_ &module);

} // namespace bopscount::bindings
