/// The contents of a model's modules, saved to be put back.
#pragma once

#include <span>
#include <unordered_set>
#include <vector>

#include "tracer/python.hpp"

namespace bopscount::tracer {

/// Attributes of every module by identity, and the items of plain containers among them (dict,
/// list, set), nested ones too.
class Snapshot {
public:
  /// Save `model` and all modules below it, iteratively.
  explicit Snapshot(const py::object &model);
  ~Snapshot();
  Snapshot(const Snapshot &) = delete;
  Snapshot &operator=(const Snapshot &) = delete;

  /// Set `training` of every module to False, in its __dict__; `restore` undoes it.
  void set_eval();
  /// Put back whatever has changed.
  void restore();

private:
  // References in these two are owned but counted by hand: there are thousands of them, and
  // vectors of Ref, which move one by one as they grow, take 2 % of a scan more.

  /// A container and the place of its items in `items_`.
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

} // namespace bopscount::tracer
