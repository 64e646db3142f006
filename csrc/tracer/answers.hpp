/// The table of torch functions: how the tracer answers each of them.
#pragma once

#include <optional>
#include <unordered_set>
#include <vector>

#include "tracer/entry_points.hpp"
#include "tracer/python.hpp"

namespace bopscount::tracer {

/// How a torch function is answered.
enum class Action {
  free,     ///< torch answers it, and nothing is recorded
  reshapes, ///< the same, and its tensor has another shape afterwards
  view,     ///< torch makes the view, on the same memory
  item,     ///< a view for a basic index, a rule for any other
  makes,    ///< a rule that handles constants itself
  rule,     ///< a rule
};

/// Whether a function only gives its tensor other sizes, such as view(2, -1).
enum class Resizing {
  no,
  in_place, ///< where the strides allow
  copying,  ///< always, by a copy if need be
};

/// Signatures that have a fast answer.
enum class FastForm {
  linear,
  matmul,
  binary,
  binary_in_place,
  unary,
  activation, ///< unary, with an argument `inplace`
  dropout,
  set_item
};

/// A function that is answered without Python where nothing about the call is unusual.
struct FastOp {
  FastForm form;
  std::uint16_t kind;
  Ref name;         ///< of the op in its record
  std::size_t rank; ///< of the operands; 0 for any
};

/// How one torch function is answered.
struct Answer {
  Action action;
  Ref rule; ///< (host, func, args, kwargs) -> output or NotImplemented; null if there is none
  Resizing resizing = Resizing::no;
  std::optional<FastOp> fast{}; ///< asked before the rule
};

/// The answers to all functions, made once from Python's tables and shared by all traces.
class Answers {
public:
  /// Python's tables; `bopscount.tracing.functions` makes them.
  struct Tables {
    py::object free, reshaping, views, makers; ///< containers of functions
    py::dict rules;                            ///< function -> rule
    py::dict resizing;                         ///< function -> whether by a copy if need be
    py::dict fast;                             ///< function -> (form, kind, op name, rank)
    py::list entry_points;                     ///< (object, function, whether an operator)
    py::set plain_types;                       ///< types of arguments that overload nothing
  };

  explicit Answers(const Tables &tables);
  Answers(const Answers &) = delete;
  Answers &operator=(const Answers &) = delete;

  /// Return the answer to a function, or null if torch must be asked.
  const Answer *find(PyObject *function) const;
  /// Whether no argument's class has a say in a call, as tensor subclasses do.
  bool are_plain(PyObject *const *args, Py_ssize_t n) const {
    for (Py_ssize_t i = 0; i < n; ++i)
      if (!is_plain(args[i])) return false;
    return true;
  }
  const EntryPoints &entry_points() const { return entry_points_; }

private:
  void add(const Tables &tables, py::handle function, Action action, PyObject *rule);
  bool is_plain(PyObject *value, int depth = 0) const;

  Ref numbers_; ///< dict: function -> index in `answers_`; by equality, for torch makes the
                ///< getters of properties anew at each access
  std::vector<Answer> answers_; ///< never grows after construction: others point into it
  Ref plain_types_owner_;
  std::unordered_set<PyTypeObject *> plain_types_;
  EntryPoints entry_points_;
};

} // namespace bopscount::tracer
