// Torch's own functions, past torch's dispatch to function modes.
//
// Before a mode is asked, torch looks up the function by its name, makes a tuple of the arguments,
// takes the mode off its stack and calls the mode's method by name: a microsecond, four times what
// an answer takes. While a model is traced, those of torch's functions that are written in C
// therefore have another entry point, in the field that calls go through anyway. Whatever it is not
// sure about, and whatever other threads call, goes on to where it went before; nobody who looks at
// torch's objects sees a difference.
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "tracer/tracer_answers.hpp"
#include "tracer/tracer_detail.hpp"

namespace bopscount::bindings {
namespace {

/// A method, function or property of torch's with an entry of ours.
struct Direct {
  PyObject *object;   ///< the descriptor or function itself
  PyObject *function; ///< as which a mode knows it
  const Answer *answer;
  Question question;
  bool is_operator; ///< what raises a TypeError may be the other operand's matter

  // As they are when nobody traces.
  vectorcallfunc call = nullptr;
  PyMethodDef *method = nullptr;
  PyGetSetDef *property = nullptr;
  // What stands in for them.
  PyMethodDef our_method{};
  PyGetSetDef our_property{};
};

std::vector<std::unique_ptr<Direct>> directs;
std::unordered_map<PyObject *, Direct *> direct_of;
/// Types of arguments that overload no function.
std::unordered_set<PyTypeObject *> plain_types;
binaryfunc torch_get_item = nullptr;
objobjargproc torch_set_item = nullptr;
const Direct *get_item = nullptr, *set_item = nullptr;

PyMethodDescrObject *as_method(PyObject *object) {
  return reinterpret_cast<PyMethodDescrObject *>(object);
}
PyCFunctionObject *as_function(PyObject *object) {
  return reinterpret_cast<PyCFunctionObject *>(object);
}
PyGetSetDescrObject *as_property(PyObject *object) {
  return reinterpret_cast<PyGetSetDescrObject *>(object);
}

/// Calls a function of no or of one argument; when it is one of C's, without a detour.
PyObject *call_bare(PyObject *function, PyObject *argument = nullptr) {
  const int convention = argument == nullptr ? METH_NOARGS : METH_O;
  if (PyCFunction_CheckExact(function) && PyCFunction_GET_FLAGS(function) == convention)
    return PyCFunction_GET_FUNCTION(function)(PyCFunction_GET_SELF(function), argument);
  return argument == nullptr ? PyObject_CallNoArgs(function)
                             : PyObject_CallOneArg(function, argument);
}

/// Whether no class but torch's own has a say in a call with such an argument.
bool is_plain(PyObject *value, int depth = 0) {
  PyTypeObject *type = Py_TYPE(value);
  if (type == torch().tensor || type == torch().parameter) return true;
  if (type == &PyTuple_Type || type == &PyList_Type) {
    if (depth > 2) return false;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i)
      if (!is_plain(PySequence_Fast_GET_ITEM(value, i), depth + 1)) return false;
    return true;
  }
  return plain_types.contains(type);
}
bool are_plain(PyObject *const *args, Py_ssize_t n) {
  for (Py_ssize_t i = 0; i < n; ++i)
    if (!is_plain(args[i])) return false;
  return true;
}

/// Of which tracer a call is that torch would show to the tracer's mode; null if of none.
Tracer *asked(PyObject *const *args, Py_ssize_t n) {
  Tracer *const tracer = tracer_here();
  return tracer != nullptr && are_plain(args, n) && tracer->is_on_top() ? tracer : nullptr;
}

PyObject *call_as_torch(const Direct &direct, PyObject *const *args, std::size_t n_flagged,
                        PyObject *names) {
  if (direct.call != nullptr) return direct.call(direct.object, args, n_flagged, names);
  const Arguments given(args, PyVectorcall_NARGS(n_flagged), names);
  return PyCFunction_Type.tp_call(direct.object, given.positional.get(), given.named.get());
}

/// The entry of methods and functions.
PyObject *direct_call(PyObject *object, PyObject *const *args, std::size_t n_flagged,
                      PyObject *names) {
  const Direct &direct = *direct_of.find(object)->second;
  const Py_ssize_t n_args = PyVectorcall_NARGS(n_flagged);
  const Py_ssize_t n_named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  if (Tracer *const tracer = asked(args, n_args + n_named)) {
    PyObject *out = guarded([&]() -> PyObject * {
      if (direct.answer->action == Action::free) {
        if (n_named == 0)
          if (PyObject *known = tracer->answer_question(direct.question, args, n_args))
            return known;
        const ModePopped popped;
        return call_as_torch(direct, args, n_flagged, names);
      }
      const Arguments given(args, n_args, names);
      return tracer->direct(*direct.answer, direct.function, given);
    });
    if (out != nullptr) return out;
    if (PyErr_Occurred()) {
      if (!direct.is_operator || !PyErr_ExceptionMatches(PyExc_TypeError)) return nullptr;
      PyErr_Clear();
      Py_RETURN_NOTIMPLEMENTED;
    }
  }
  return call_as_torch(direct, args, n_flagged, names);
}

/// The entry of properties that are questions.
PyObject *direct_get(PyObject *object, void *closure) {
  const Direct &direct = *static_cast<const Direct *>(closure);
  const auto as_torch = [&] { return direct.property->get(object, direct.property->closure); };
  Tracer *const tracer = asked(&object, 1);
  if (tracer == nullptr) return as_torch();
  return guarded([&]() -> PyObject * {
    if (PyObject *known = tracer->answer_question(direct.question, &object, 1)) return known;
    const ModePopped popped;
    return as_torch();
  });
}
int direct_set(PyObject *object, PyObject *value, void *closure) {
  const PyGetSetDef &property = *static_cast<const Direct *>(closure)->property;
  return property.set(object, value, property.closure);
}

/// The entries of x[index] and x[index] = value.
PyObject *direct_get_item(PyObject *object, PyObject *index) {
  PyObject *const args[] = {object, index};
  if (Tracer *const tracer = asked(args, 2)) {
    PyObject *out = guarded([&] {
      return tracer->direct(*get_item->answer, get_item->function, Arguments(args, 2, nullptr));
    });
    if (out != nullptr || PyErr_Occurred()) return out;
  }
  return torch_get_item(object, index);
}
int direct_set_item(PyObject *object, PyObject *index, PyObject *value) {
  PyObject *const args[] = {object, index, value};
  if (Tracer *const tracer = value == nullptr ? nullptr : asked(args, 3)) {
    const Ref done(guarded([&] {
      return tracer->direct(*set_item->answer, set_item->function, Arguments(args, 3, nullptr));
    }));
    if (done || PyErr_Occurred()) return done ? 0 : -1;
  }
  return torch_set_item(object, index, value);
}

/// torch.overrides.handle_torch_function(function, relevant, *args, **keywords), which torch's
/// functions that are written in Python call where a mode is active.
PyObject *handle_torch_function(PyObject *, PyObject *const *args, Py_ssize_t n_args,
                                PyObject *names) {
  const Py_ssize_t n_named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  if (n_args >= 2) {
    if (Tracer *const tracer = asked(args + 1, n_args + n_named - 1))
      return guarded([&] {
        const Arguments given(args + 2, n_args - 2, names);
        const Answer *answer = answer_of(args[0]);
        if (answer != nullptr)
          if (PyObject *out = tracer->direct(*answer, args[0], given)) return out;
        if (PyErr_Occurred()) return static_cast<PyObject *>(nullptr);
        const ModePopped popped;
        return tracer->function(args[0], given.positional.get(), given.named.get());
      });
  }
  return PyObject_Vectorcall(torch().handle, args, static_cast<std::size_t>(n_args), names);
}

PyMethodDef handle_method = {
    "handle_torch_function",
    reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&handle_torch_function)),
    METH_FASTCALL | METH_KEYWORDS,
    "Answers for the active tracer; torch.overrides.handle_torch_function if there is none."};

Question question_of(const std::string &name) {
  static const std::unordered_map<std::string, Question> questions{
      {"shape", Question::shape}, {"size", Question::size},   {"dim", Question::dim},
      {"ndim", Question::dim},    {"dtype", Question::dtype}, {"is_nested", Question::is_nested}};
  const auto found = questions.find(name);
  return found == questions.end() ? Question::other : found->second;
}

/// Objects of torch's with the functions as which modes know them, and whether they are
/// operators. Those that are not written in C have no entry: they end in others that do.
void set_direct(const py::list &functions, const py::set &plain) {
  for (const py::handle type : plain)
    plain_types.insert(reinterpret_cast<PyTypeObject *>(type.inc_ref().ptr()));
  for (const py::handle each : functions) {
    const auto part = py::reinterpret_borrow<py::tuple>(each);
    PyObject *const object = PyTuple_GET_ITEM(part.ptr(), 0);
    const Answer *answer = answer_of(PyTuple_GET_ITEM(part.ptr(), 1));
    if (answer == nullptr) continue;
    auto direct = std::make_unique<Direct>();
    direct->object = object;
    direct->function = PyTuple_GET_ITEM(part.ptr(), 1);
    direct->answer = answer;
    direct->question = question_of(py::str(part[0].attr("__name__")).cast<std::string>());
    direct->is_operator = part[2].cast<bool>();
    if (Py_TYPE(object) == &PyMethodDescr_Type) {
      direct->call = as_method(object)->vectorcall;
      direct->method = as_method(object)->d_method;
      direct->our_method = *direct->method;
#if PY_VERSION_HEX >= 0x030B0000
      // Python calls those without arguments past their entry, if they say so. Not so others than
      // questions: bound first and called later, they would take any arguments.
      if (direct->question == Question::dim && direct->method->ml_flags == METH_NOARGS)
        direct->our_method.ml_flags = METH_VARARGS | METH_KEYWORDS;
#endif
      if (direct->call == nullptr) continue;
    } else if (PyCFunction_CheckExact(object)) {
      if ((PyCFunction_GET_FLAGS(object) & METH_VARARGS) == 0) continue;
      direct->call = as_function(object)->vectorcall;
    } else if (Py_TYPE(object) == &PyGetSetDescr_Type && answer->action == Action::free) {
      direct->property = as_property(object)->d_getset;
      direct->our_property = *direct->property;
      direct->our_property.get = &direct_get;
      if (direct->property->set != nullptr) direct->our_property.set = &direct_set;
      direct->our_property.closure = direct.get();
    } else if (Py_TYPE(object) == &PyWrapperDescr_Type) {
      const auto name = part[0].attr("__name__").cast<std::string>();
      (name == "__getitem__" ? get_item : set_item) = direct.get();
    } else {
      continue;
    }
    part.inc_ref(); // for good, as torch's objects are
    direct_of[object] = direct.get();
    directs.push_back(std::move(direct));
  }
  torch_get_item = torch().tensor->tp_as_mapping->mp_subscript;
  torch_set_item = torch().tensor->tp_as_mapping->mp_ass_subscript;
}

/// Gives torch's objects our entries, or their own back.
void set_entries(bool ours) {
  for (const auto &direct : directs) {
    if (direct->method != nullptr) {
      as_method(direct->object)->vectorcall = ours ? &direct_call : direct->call;
      as_method(direct->object)->d_method = ours ? &direct->our_method : direct->method;
    } else if (direct->property != nullptr) {
      as_property(direct->object)->d_getset = ours ? &direct->our_property : direct->property;
    } else if (PyCFunction_CheckExact(direct->object)) {
      as_function(direct->object)->vectorcall = ours ? &direct_call : direct->call;
    }
  }
  PyMappingMethods &subscripts = *torch().tensor->tp_as_mapping;
  subscripts.mp_subscript = ours ? &direct_get_item : torch_get_item;
  subscripts.mp_ass_subscript = ours ? &direct_set_item : torch_set_item;
}

int n_entered = 0; ///< traces, one within the other; guarded by the GIL

} // namespace

DirectCalls::DirectCalls() {
  if (n_entered++ == 0) set_entries(true);
}
DirectCalls::~DirectCalls() {
  if (--n_entered == 0) set_entries(false);
}

ModePopped::ModePopped() : mode_(checked(call_bare(torch().pop_function_mode))) {}
ModePopped::~ModePopped() {
  // An error may be on its way out; it must survive the call.
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  Ref(call_bare(torch().push_function_mode, mode_.get()));
  PyErr_Restore(type, value, traceback);
}

/// Whether torch would show a function to this tracer's mode, before any other.
bool Tracer::is_on_top() const {
  if (real_ || modes_off_depth_ > 0) return false;
  const Ref length(call_bare(torch().n_function_modes));
  if (!length || PyLong_AsLong(length.get()) != n_function_modes_) return PyErr_Clear(), false;
  const Ref enabled(call_bare(torch().function_mode_enabled));
  return PyErr_Clear(), enabled.get() == Py_True;
}

/// What is known of a tensor without torch; null, with no error, where it is not.
PyObject *Tracer::answer_question(Question question, PyObject *const *args, Py_ssize_t n_args) {
  if (n_args < 1 || question == Question::other) return nullptr;
  const auto found = seen_.find(args[0]);
  if (found == seen_.end() || found->second.form == nullptr) return nullptr;
  const Form &form = *found->second.form;
  std::int64_t dim = 0;
  if (n_args == 2) {
    const auto rank = static_cast<std::int64_t>(form.dims.rank);
    if (question != Question::size || !to_int(args[1], dim) || dim < -rank || dim >= rank)
      return nullptr;
    return PyLong_FromLongLong(form.dims[static_cast<std::size_t>(dim < 0 ? dim + rank : dim)]);
  }
  if (n_args > 2) return nullptr;
  PyObject *out = nullptr;
  switch (question) {
  case Question::shape:
  case Question::size:
    if (!form.size)
      form.size = checked(PyObject_CallOneArg(torch().size, to_tuple(form.dims).get()));
    out = form.size.get();
    break;
  case Question::dim: return PyLong_FromSize_t(form.dims.rank);
  case Question::dtype: out = form.dtype; break;
  case Question::is_nested: out = found->second.made ? Py_False : nullptr; break;
  case Question::other: break;
  }
  Py_XINCREF(out);
  return out;
}

/// What the mode would return, of what needs no rule in Python: torch reads the arguments before
/// it asks a mode, and rules rely on that. Null for the rest, or with an error.
PyObject *Tracer::direct(const Answer &answer, PyObject *func, const Arguments &given) {
  PyObject *const args = given.positional.get();
  if (PyObject *out = answer_at_once(answer, args, given.named.get())) return out;
  if (PyErr_Occurred() || (answer.action != Action::view && answer.action != Action::item))
    return nullptr;
  if (answer.action == Action::item &&
      (PyTuple_GET_SIZE(args) != 2 || !is_basic_index(PyTuple_GET_ITEM(args, 1))))
    return nullptr;
  const ModePopped popped;
  return view(func, args, given.named.get());
}

void register_direct(py::module_ &module) {
  module.def("set_direct", &set_direct, py::arg("functions"), py::arg("plain"),
             "Says which of torch's functions are answered before torch asks the function mode, as "
             "(object, the function that the mode is shown, whether it is an operator), and which "
             "types of arguments have no say in it.");
  module.attr("handle_torch_function") =
      py::reinterpret_steal<py::object>(PyCFunction_New(&handle_method, nullptr));
}

} // namespace bopscount::bindings
