/// What the tracer does with each of torch's functions.
#pragma once

#include <Python.h>

#include "tracer/tracer.hpp"

namespace bopscount::bindings {

/// What is done with a torch function.
enum class Action {
  free,     ///< a question: torch answers it
  reshapes, ///< likewise, but the tensor is another afterwards
  view,     ///< torch makes it, on the same memory
  item,     ///< likewise by numbers and slices; a rule by anything else
  makes,    ///< a rule that looks after its constants itself
  rule,     ///< a rule
};

/// Whether a function gives its tensor the sizes that follow, such as view(2, -1).
enum class Resizing {
  no,
  in_place, ///< where strides allow
  copying,  ///< always, by a copy if need be
};

struct Answer {
  Action action;
  PyObject *rule; ///< (driver, func, args, kwargs) -> output or NotImplemented
  Resizing resizing = Resizing::no;
  const Native *native = nullptr; ///< asked before the rule
};

/// The answer to a function; null if it has none.
const Answer *answer_of(PyObject *function);

} // namespace bopscount::bindings
