/// The Python half of a trace.
#pragma once

#include "tracer/python.hpp"

namespace bopscount::tracer {

/// What `TraceHost.classify` says about a module class.
struct Classified {
  bool leaf, registered, sequential, adapted;
  Ref rule; ///< name of a leaf rule, a callable, or None
};

/// What `TraceHost.adapt` says about a module.
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

  Classified classify(PyTypeObject *cls) const;
  Adapted adapt(PyObject *module, std::int32_t node) const;
  /// Let Python see a leaf's records from `mark` on. False with an error set if that raised.
  bool rewrite(PyObject *module, std::size_t mark, PyObject *args, PyObject *output) const;
  bool is_tainted(PyObject *tensor) const;
  void keep(PyObject *tensor) const;
  PyObject *view(PyObject *func, PyObject *args, PyObject *kwargs) const;
  PyObject *constant(PyObject *rule, PyObject *func, PyObject *args, PyObject *kwargs,
                     std::int64_t elements) const;
  PyObject *run_for_real(PyObject *func, PyObject *args, PyObject *kwargs,
                         PyObject *recorded) const;
  PyObject *ask_stand_in(PyObject *cls, PyObject *func, PyObject *types, PyObject *args,
                         PyObject *kwargs) const;
  PyObject *fall_back(PyObject *func, PyObject *args, PyObject *kwargs) const;

  /// Drop every reference: Python's collector cannot see the cycle from the host to its tracer.
  void release();

private:
  Ref object_;
  Ref classify_, adapt_, rewrite_, is_tainted_, keep_;
  Ref view_, constant_, run_for_real_, ask_stand_in_, fall_back_;
};

} // namespace bopscount::tracer
