/// Other entry points for torch's C functions while a model is traced.
///
/// torch takes a microsecond to call a function mode: it looks the function up by name, makes a
/// tuple of the arguments, pops the mode and calls its method by name. That is four times what an
/// answer takes. So during a trace the C functions of torch that have an answer get another entry
/// point, in the field that calls go through anyway. Calls from other threads, and any call that
/// is not certain, go on to torch's own entry; torch's objects look unchanged.
#pragma once

#include <Python.h>

#include <memory>
#include <unordered_map>
#include <vector>

#include "tracer/questions.hpp"

namespace bopscount::tracer {

struct Answer;
class Tracer;

/// A method, function, property or subscript of torch's, with its own entry and ours.
struct EntryPoint {
  Ref object;   ///< the descriptor or builtin function
  Ref function; ///< the same as function modes are shown it
  const Answer *answer;
  Question question;
  bool is_operator; ///< a TypeError becomes NotImplemented: the other operand may know better

  // torch's own.
  vectorcallfunc call = nullptr;
  PyMethodDef *method = nullptr;
  PyGetSetDef *property = nullptr;
  // Ours.
  PyMethodDef *our_method = nullptr;
  PyGetSetDef our_property{};
};

/// The entry points of one table of answers.
class EntryPoints {
public:
  EntryPoints();
  EntryPoints(const EntryPoints &) = delete;
  EntryPoints &operator=(const EntryPoints &) = delete;

  /// Add an object of torch's. Ignored if it is not written in C: it ends in others that are.
  void add(PyObject *object, PyObject *function, const Answer &answer, bool is_operator);

  /// Scope in which torch's objects have our entries; scopes may be nested.
  class Installed {
  public:
    explicit Installed(const EntryPoints &entries);
    ~Installed();
    Installed(const Installed &) = delete;
    Installed &operator=(const Installed &) = delete;
  };

private:
  friend struct Entries;
  void set(bool ours) const;

  std::vector<std::unique_ptr<EntryPoint>> all_;
  std::unordered_map<PyObject *, const EntryPoint *> by_object_;
  const EntryPoint *get_item_ = nullptr, *set_item_ = nullptr;
  binaryfunc torch_get_item_;
  objobjargproc torch_set_item_;
};

/// Return the tracer whose mode torch would call first for these arguments, or null.
Tracer *tracer_asked(PyObject *const *args, Py_ssize_t n);

} // namespace bopscount::tracer
