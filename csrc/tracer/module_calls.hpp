/// Calls of modules while a model is traced.
#pragma once

#include "tracer/leaf_answers.hpp"

namespace bopscount::tracer {

/// Answers a module's call by its rule, or runs its forward inside a frame of its own.
///
/// Calls return a new reference, or null with an error set.
class ModuleCalls {
public:
  ModuleCalls(ModuleTree &tree, Recorder &recorder, SeenTensors &seen, LeafAnswers &leaves,
              FunctionModes &modes, const Host &host, bool real)
      : tree_(tree), recorder_(recorder), seen_(seen), leaves_(leaves), modes_(modes), host_(host),
        real_(real) {}
  ModuleCalls(const ModuleCalls &) = delete;
  ModuleCalls &operator=(const ModuleCalls &) = delete;

  /// Call a module; arguments as in a vectorcall, `names` those of the last ones or null.
  PyObject *call(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
  /// Return (module index, shapes of its tensors) of the innermost module that raised, or None.
  py::object failure() const;
  /// Drop the error of a failed trace, and the frames that its traceback holds.
  void release() { failed_error_ = Ref(); }

private:
  PyObject *call_leaf(Node &node, std::int32_t index, PyObject *input);
  PyObject *call_children(const Node &node, PyObject *input);
  PyObject *call_forward(const Node &node, PyObject *const *args, Py_ssize_t n_args,
                         PyObject *names);
  PyObject *enter(Node &node, std::int32_t index, PyObject *const *args, Py_ssize_t n_args,
                  PyObject *names);
  bool after_leaf(const Node &node, std::size_t mark, PyObject *const *args, Py_ssize_t n_args,
                  PyObject *names, PyObject *output);
  void note_failure(std::int32_t index, PyObject *const *args, Py_ssize_t n_args, PyObject *names);

  ModuleTree &tree_;
  Recorder &recorder_;
  SeenTensors &seen_;
  LeafAnswers &leaves_;
  FunctionModes &modes_;
  const Host &host_;
  bool real_;
  Ref failure_, failed_error_;
};

} // namespace bopscount::tracer
