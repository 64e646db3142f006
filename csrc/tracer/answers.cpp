#include "tracer/answers.hpp"

#include <string>
#include <unordered_map>

#include "tracer/torch.hpp"

namespace bopscount::tracer {
namespace {

FastOp fast_op_of(const py::tuple &given) {
  static const std::unordered_map<std::string, FastForm> forms{
      {"linear", FastForm::linear},   {"matmul", FastForm::matmul},
      {"binary", FastForm::binary},   {"binary_in_place", FastForm::binary_in_place},
      {"unary", FastForm::unary},     {"activation", FastForm::activation},
      {"dropout", FastForm::dropout}, {"set_item", FastForm::set_item}};
  return {.form = forms.at(given[0].cast<std::string>()),
          .kind = given[1].cast<std::uint16_t>(),
          .name = Ref(py::object(given[2]).release().ptr()),
          .rank = given[3].cast<std::size_t>()};
}

} // namespace

Answers::Answers(const Tables &tables)
    : numbers_(checked(PyDict_New())),
      plain_types_owner_(checked(PyFrozenSet_New(tables.plain_types.ptr()))) {
  answers_.reserve(py::len(tables.rules) + py::len(tables.fast) + py::len(tables.views) +
                   py::len(tables.free) + py::len(tables.reshaping));
  const auto action_of = [&](const py::handle function) {
    return py::cast<bool>(tables.makers.attr("__contains__")(function)) ? Action::makes
                                                                        : Action::rule;
  };
  for (const auto &[function, rule] : tables.rules)
    add(tables, function, action_of(function), rule.ptr());
  for (const auto &[function, given] : tables.fast)
    if (!tables.rules.contains(function)) add(tables, function, action_of(function), nullptr);
  for (const py::handle function : tables.views)
    if (tables.rules.contains(function))
      answers_[PyLong_AsSize_t(PyDict_GetItem(numbers_.get(), function.ptr()))].action =
          Action::item;
    else
      add(tables, function, Action::view, nullptr);
  for (const py::handle function : tables.free) add(tables, function, Action::free, nullptr);
  for (const py::handle function : tables.reshaping)
    add(tables, function, Action::reshapes, nullptr);

  for (const py::handle type : tables.plain_types)
    plain_types_.insert(reinterpret_cast<PyTypeObject *>(type.ptr()));
  for (const py::handle each : tables.entry_points) {
    const auto part = py::reinterpret_borrow<py::tuple>(each);
    PyObject *const function = PyTuple_GET_ITEM(part.ptr(), 1);
    if (const Answer *answer = find(function))
      entry_points_.add(PyTuple_GET_ITEM(part.ptr(), 0), function, *answer, part[2].cast<bool>());
  }
}

void Answers::add(const Tables &tables, py::handle function, Action action, PyObject *rule) {
  Answer &answer = answers_.emplace_back(Answer{action, Ref::borrow(rule)});
  if (const auto copies = PyDict_GetItemWithError(tables.resizing.ptr(), function.ptr()))
    answer.resizing = copies == Py_True ? Resizing::copying : Resizing::in_place;
  if (const auto given = PyDict_GetItemWithError(tables.fast.ptr(), function.ptr()))
    answer.fast = fast_op_of(py::reinterpret_borrow<py::tuple>(given));
  PyDict_SetItem(numbers_.get(), function.ptr(), py::int_(answers_.size() - 1).ptr());
}

const Answer *Answers::find(PyObject *function) const {
  PyObject *number = PyDict_GetItemWithError(numbers_.get(), function);
  if (number == nullptr) {
    PyErr_Clear(); // an object that cannot be hashed has no answer
    return nullptr;
  }
  return &answers_[PyLong_AsSize_t(number)];
}

bool Answers::is_plain(PyObject *value, int depth) const {
  PyTypeObject *type = Py_TYPE(value);
  if (type == torch().tensor || type == torch().parameter) return true;
  if (type == &PyTuple_Type || type == &PyList_Type) {
    if (depth > 2) return false;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i)
      if (!is_plain(PySequence_Fast_GET_ITEM(value, i), depth + 1)) return false;
    return true;
  }
  return plain_types_.contains(type);
}

} // namespace bopscount::tracer
