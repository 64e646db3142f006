/// Changes to torch and to the model's classes for the time of a trace.
///
/// Each is a scope that puts back what it changed. They are C++ and not Python because an
/// interrupt may arrive between any two lines of Python.
#pragma once

#include <vector>

#include "tracer/python.hpp"

namespace bopscount::tracer {

/// Module classes whose calls, and look-ups of parameters and submodules, come to the tracer.
///
/// The type slots are replaced and not attributes such as `__call__`: Python then keeps its
/// caches of each class, and look-ups in other threads see no difference.
class ClassSlots {
public:
  ClassSlots() = default;
  ~ClassSlots();
  ClassSlots(const ClassSlots &) = delete;
  ClassSlots &operator=(const ClassSlots &) = delete;

  /// Replace the slots of a class.
  void set(PyTypeObject *type);

private:
  std::vector<Ref> types_;
};

/// Call a module with the slot that its class has outside traces.
PyObject *call_untraced(PyObject *module, PyObject *args, PyObject *keywords);

/// Attributes set for a scope.
class Patches {
public:
  Patches() = default;
  ~Patches();
  Patches(const Patches &) = delete;
  Patches &operator=(const Patches &) = delete;

  /// Set an attribute; all three objects must outlive the scope.
  void set(PyObject *object, PyObject *name, PyObject *value);

private:
  struct Patch {
    PyObject *object, *name;
    Ref before;
  };
  std::vector<Patch> patches_;
};

/// The grad mode of this thread, put back at the end.
class GradMode {
public:
  GradMode();
  ~GradMode();
  GradMode(const GradMode &) = delete;
  GradMode &operator=(const GradMode &) = delete;

private:
  Ref before_;
};

/// torch's stacks of function and dispatch modes of this thread, with one more function mode.
class ModeStacks {
public:
  explicit ModeStacks(PyObject *function_mode);
  ~ModeStacks();
  ModeStacks(const ModeStacks &) = delete;
  ModeStacks &operator=(const ModeStacks &) = delete;

  /// Return the height of the function-mode stack, with the added mode.
  long n_function_modes() const { return n_functions_ + 1; }

private:
  long n_functions_, n_dispatches_; ///< as found
};

} // namespace bopscount::tracer
