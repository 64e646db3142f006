/// Answers by leaf rules, recorded.
#pragma once

#include "tracer/recorder.hpp"

namespace bopscount::tracer {

/// Applies leaf rules to modules, and to functions that compute the same.
class LeafAnswers {
public:
  LeafAnswers(Forms &forms, SeenTensors &seen, Recorder &recorder)
      : forms_(forms), seen_(seen), recorder_(recorder) {}
  LeafAnswers(const LeafAnswers &) = delete;
  LeafAnswers &operator=(const LeafAnswers &) = delete;

  /// Replace a leaf module's input by its output, recorded. False if its rule is not certain.
  bool answer_module(const Node &node, std::int32_t index, Value &value);
  /// Return a function's output by the rule for a module with such attributes, recorded; None
  /// if the rule is not certain. The output has `dtype` unless that is None; `others` are further
  /// operands, a tuple or None, of which it is recorded who made them.
  py::object answer_function(std::size_t rule, PyObject *op, PyObject *input, PyObject *attributes,
                             PyObject *weight, PyObject *bias, PyObject *dtype, PyObject *others);

private:
  bool ask(const LeafRule &rule, const LeafModule &view, const Form &in, const Form *&out,
           LeafAnswer &answer);
  Value output_of(const LeafAnswer &answer, const Value &input, const Form *out,
                  std::int32_t record);

  Forms &forms_;
  SeenTensors &seen_;
  Recorder &recorder_;
};

} // namespace bopscount::tracer
