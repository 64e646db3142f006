#include "tracer/questions.hpp"

#include <unordered_map>

namespace bopscount::tracer {

Question question_of(const std::string &name) {
  static const std::unordered_map<std::string, Question> questions{
      {"shape", Question::shape}, {"size", Question::size},   {"dim", Question::dim},
      {"ndim", Question::dim},    {"dtype", Question::dtype}, {"is_nested", Question::is_nested}};
  const auto found = questions.find(name);
  return found == questions.end() ? Question::other : found->second;
}

PyObject *answer_question(Question question, const SeenTensors &seen, Forms &forms,
                          PyObject *const *args, Py_ssize_t n_args) {
  if (n_args < 1 || question == Question::other) return nullptr;
  const Seen *const found = seen.find(args[0]);
  if (found == nullptr || found->form == nullptr) return nullptr;
  const Form &form = *found->form;
  std::int64_t dim = 0;
  if (n_args == 2) {
    const auto rank = static_cast<std::int64_t>(form.dims.rank);
    if (question != Question::size || !to_int(args[1], dim) || dim < -rank || dim >= rank)
      return nullptr;
    return PyLong_FromLongLong(form.dims[static_cast<std::size_t>(dim < 0 ? dim + rank : dim)]);
  }
  if (n_args > 2) return nullptr;
  switch (question) {
  case Question::shape:
  case Question::size: return Py_NewRef(forms.size_of(form));
  case Question::dim: return PyLong_FromSize_t(form.dims.rank);
  case Question::dtype: return Py_NewRef(form.dtype);
  case Question::is_nested: return found->made ? Py_NewRef(Py_False) : nullptr;
  case Question::other: break;
  }
  return nullptr;
}

} // namespace bopscount::tracer
