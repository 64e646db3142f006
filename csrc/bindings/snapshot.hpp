/// What the modules of a model hold, kept so that it can be put back.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>
#include <vector>

#include "python.hpp"

namespace bopscount::bindings {

namespace py = pybind11;

/// Attributes of every module by identity, and the contents of plain containers
/// among them (dict, list, set), one level deep.
class Snapshot {
public:
  /// Of `model` and all modules below it. Iterative.
  explicit Snapshot(const py::object &model);

  /// Puts every module into eval mode, in its __dict__: `restore` undoes it.
  void set_eval();
  /// Puts back whatever has changed.
  void restore();

private:
  /// A container and what was in it; values alone for lists and sets.
  struct Contents {
    Ref container;
    std::vector<std::pair<Ref, Ref>> items;
  };

  void save(PyObject *container);
  static bool unchanged(const Contents &saved);
  static void put_back(const Contents &saved);

  std::vector<Contents> saved_;
  std::vector<PyObject *> module_dicts_; ///< borrowed from saved_
};

void register_snapshot(py::module_ &module);

} // namespace bopscount::bindings
