/// Questions about a tensor, such as its shape, answered without torch.
#pragma once

#include <string>

#include "tracer/seen_tensors.hpp"

namespace bopscount::tracer {

/// A property of a tensor that the tracer may know.
enum class Question { other, shape, size, dim, dtype, is_nested };

/// Return the question that a method or property of torch.Tensor asks.
Question question_of(const std::string &name);

/// Return the answer for the tensor args[0], a new reference; null without an error if unknown.
PyObject *answer_question(Question question, const SeenTensors &seen, Forms &forms,
                          PyObject *const *args, Py_ssize_t n_args);

} // namespace bopscount::tracer
