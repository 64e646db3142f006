/// Calls of torch functions while a model is traced.
#pragma once

#include "tracer/fast_answers.hpp"

namespace bopscount::tracer {

/// Answers a torch function: at once, by its rule in Python, or by the fallback.
///
/// Calls return a new reference, or null with an error set.
class FunctionDispatch {
public:
  FunctionDispatch(const Answers &answers, Forms &forms, SeenTensors &seen, FastAnswers &fast,
                   FunctionModes &modes, const Host &host, bool real)
      : answers_(answers), forms_(forms), seen_(seen), fast_(fast), modes_(modes), host_(host),
        real_(real) {}
  FunctionDispatch(const FunctionDispatch &) = delete;
  FunctionDispatch &operator=(const FunctionDispatch &) = delete;

  /// Answer a call, for the mode's `__torch_function__`.
  PyObject *call(PyObject *func, PyObject *args, PyObject *keywords);
  /// Answer a call with an argument of class `type` that stands in for a tensor: ask the class,
  /// and record the functions of tensors that it calls.
  PyObject *call_stand_in(PyObject *type, PyObject *func, PyObject *types, PyObject *args,
                          PyObject *keywords);
  /// Fast path of `call`, while the mode is still on the stack. Null without an error if the
  /// mode must be called.
  PyObject *fast_path(const Answer &answer, PyObject *func, const Arguments &given);

private:
  /// Tensors of a call that are not live.
  struct Constants {
    int count = 0;
    std::int64_t elements = 0;
  };
  bool any_live(PyObject *value, Constants &constants, int depth = 0);
  PyObject *answer_at_once(const Answer &answer, PyObject *args, PyObject *keywords);
  PyObject *answer_by_rule(const Answer &answer, PyObject *func, PyObject *args,
                           PyObject *keywords);
  PyObject *resized(bool copies, PyObject *args, PyObject *keywords);
  PyObject *view(PyObject *func, PyObject *args, PyObject *keywords);

  const Answers &answers_;
  Forms &forms_;
  SeenTensors &seen_;
  FastAnswers &fast_;
  FunctionModes &modes_;
  const Host &host_;
  bool real_;
};

} // namespace bopscount::tracer
