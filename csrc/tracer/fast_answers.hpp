/// Answers without Python to the functions that networks call most.
#pragma once

#include "tracer/answers.hpp"
#include "tracer/recorder.hpp"

namespace bopscount::tracer {

/// Records usual calls of products, sums and activations of floats.
///
/// An unusual call is left to the function's rule, or to torch: the answer is then null without
/// an error, and nothing has been recorded.
class FastAnswers {
public:
  FastAnswers(Forms &forms, SeenTensors &seen, Recorder &recorder, FunctionModes &modes, bool real)
      : forms_(forms), seen_(seen), recorder_(recorder), modes_(modes), real_(real) {}
  FastAnswers(const FastAnswers &) = delete;
  FastAnswers &operator=(const FastAnswers &) = delete;

  /// Return the output of a call, recorded; a new reference, or null.
  PyObject *answer(const FastOp &op, PyObject *args, PyObject *keywords);

private:
  PyObject *linear(const FastOp &op, PyObject *args, PyObject *keywords);
  PyObject *matmul(const FastOp &op, PyObject *args, PyObject *keywords);
  PyObject *binary(const FastOp &op, PyObject *args, PyObject *keywords);
  PyObject *unary(const FastOp &op, PyObject *args, PyObject *keywords);
  PyObject *dropout(PyObject *args, PyObject *keywords);
  PyObject *set_item(const FastOp &op, PyObject *args);

  void set_second(Layer &layer, const Form &weight);
  std::int32_t record(const FastOp &op, Layer &layer, const Value *operands, std::size_t n_operands,
                      const Form *out);
  PyObject *record_new(const FastOp &op, Layer &layer, const Value *operands,
                       std::size_t n_operands, const Form *out);
  PyObject *record_into(const FastOp &op, Layer &layer, const Value *operands,
                        std::size_t n_operands);

  Forms &forms_;
  SeenTensors &seen_;
  Recorder &recorder_;
  FunctionModes &modes_;
  bool real_;
};

} // namespace bopscount::tracer
