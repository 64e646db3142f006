/// The Python half of a trace.
#pragma once

#include "tracer/python.hpp"

namespace bopscount::tracer {

/// Result of `TraceHost.classify` for a module class.
struct Classified {
  bool leaf, registered, sequential, adapted;
  Ref rule; ///< name of a leaf rule, a callable, or None
};

/// Result of `TraceHost.adapt` for a module.
struct Adapted {
  bool is_leaf = false;             ///< an adapter answers for the module
  Ref inner;                        ///< a module inside it to be asked about later, or null
  Ref rule;                         ///< a callable that replaces its forward, or null
  std::int64_t logical_params = -1; ///< where its parameters are packed; -1: as they are held
};

/// Methods of a `bopscount.tracing.host.TraceHost`, one for each of its callbacks.
///
/// Those that answer a torch function return a new reference, or null with an error set.
class Host {
public:
  /// Look up every callback; raise a TypeError that names a missing one.
  explicit Host(PyObject *host);
  Host(const Host &) = delete;
  Host &operator=(const Host &) = delete;

  /// Return the TraceHost itself, the first argument of every rule.
  PyObject *object() const { return object_.get(); }

  /// Classify a module class.
  Classified classify(PyTypeObject *cls) const;
  /// Ask the adapters about a module.
  Adapted adapt(PyObject *module, std::int32_t node) const;
  /// Let Python see a leaf's records from `mark` on. False with an error set if that raised.
  bool rewrite(PyObject *module, std::size_t mark, PyObject *args, PyObject *output) const;
  /// Whether something that is not constant was written into a constant.
  bool is_tainted(PyObject *tensor) const;
  /// Save a tensor's shape before a function changes it in place.
  void keep(PyObject *tensor) const;
  /// Return a view of a parameter, or of an argument that is given by name.
  PyObject *view(PyObject *func, PyObject *args, PyObject *kwargs) const;
  /// Return a function of constants, of `elements` elements together, with its values.
  PyObject *constant(PyObject *rule, PyObject *func, PyObject *args, PyObject *kwargs,
                     std::int64_t elements) const;
  /// Return torch's own output in place of the one that was recorded.
  PyObject *run_for_real(PyObject *func, PyObject *args, PyObject *kwargs,
                         PyObject *recorded) const;
  /// Return what a class that stands in for tensors makes of a function, or NotImplemented.
  PyObject *ask_stand_in(PyObject *cls, PyObject *func, PyObject *types, PyObject *args,
                         PyObject *kwargs) const;
  /// Return torch's own output, with its ATen ops recorded.
  PyObject *fall_back(PyObject *func, PyObject *args, PyObject *kwargs) const;

  /// Drop every reference: Python's collector cannot see the cycle from the host to its tracer.
  void release();

private:
  Ref object_;
  Ref classify_, adapt_, rewrite_, is_tainted_, keep_;
  Ref view_, constant_, run_for_real_, ask_stand_in_, fall_back_;
};

} // namespace bopscount::tracer
