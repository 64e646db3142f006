// Functions between the modules: which action each asks for, and what its rule may call.
#include <memory>

#include "tracer/tracer_answers.hpp"
#include "tracer/tracer_detail.hpp"

namespace bopscount::bindings {
namespace {

/// Function -> index in the answers. By equality: torch makes property getters anew.
PyObject *answer_numbers = nullptr;
std::vector<Answer> answers;
std::vector<std::unique_ptr<Native>> natives;

Native native_of(const py::tuple &given) {
  static const std::unordered_map<std::string, NativeForm> forms{
      {"linear", NativeForm::linear},   {"matmul", NativeForm::matmul},
      {"binary", NativeForm::binary},   {"binary_in_place", NativeForm::binary_in_place},
      {"unary", NativeForm::unary},     {"activation", NativeForm::activation},
      {"dropout", NativeForm::dropout}, {"set_item", NativeForm::set_item}};
  return {forms.at(given[0].cast<std::string>()), given[1].cast<std::uint16_t>(),
          py::object(given[2]).release().ptr(), given[3].cast<std::size_t>()};
}

void set_answers(const py::object &free, const py::object &reshaping, const py::object &views,
                 const py::object &makers, const py::dict &rules, const py::dict &resizing,
                 const py::dict &native) {
  answer_numbers = py::dict().release().ptr();
  answers.clear();
  const auto add = [&](const py::handle function, Action action, PyObject *rule) {
    Answer answer{action, rule};
    if (const auto copies = PyDict_GetItemWithError(resizing.ptr(), function.ptr()))
      answer.resizing = copies == Py_True ? Resizing::copying : Resizing::in_place;
    if (const auto given = PyDict_GetItemWithError(native.ptr(), function.ptr())) {
      natives.push_back(
          std::make_unique<Native>(native_of(py::reinterpret_borrow<py::tuple>(given))));
      answer.native = natives.back().get();
    }
    answers.push_back(answer);
    PyDict_SetItem(answer_numbers, function.ptr(), py::int_(answers.size() - 1).ptr());
  };
  for (const auto &[function, rule] : rules) {
    const bool makes = py::cast<bool>(makers.attr("__contains__")(function));
    add(function, makes ? Action::makes : Action::rule, rule.inc_ref().ptr());
  }
  for (const auto &[function, given] : native)
    if (!rules.contains(function))
      add(function,
          py::cast<bool>(makers.attr("__contains__")(function)) ? Action::makes : Action::rule,
          nullptr);
  for (const py::handle function : views)
    if (rules.contains(function))
      answers[PyLong_AsSize_t(PyDict_GetItem(answer_numbers, function.ptr()))].action =
          Action::item;
    else
      add(function, Action::view, nullptr);
  for (const py::handle function : free) add(function, Action::free, nullptr);
  for (const py::handle function : reshaping) add(function, Action::reshapes, nullptr);
}

} // namespace

const Answer *answer_of(PyObject *function) {
  PyObject *number =
      answer_numbers == nullptr ? nullptr : PyDict_GetItemWithError(answer_numbers, function);
  if (number == nullptr) {
    PyErr_Clear(); // what cannot be hashed has no rule
    return nullptr;
  }
  return &answers[PyLong_AsSize_t(number)];
}

namespace {

bool is_tensor(PyObject *value) {
  PyTypeObject *type = Py_TYPE(value);
  if (type == torch().tensor || type == torch().parameter) return true;
  return PyType_IsSubtype(type, torch().tensor);
}

/// Sizes as view and reshape take them, one of which may be -1, for a tensor of such
/// dimensions; false where they do not fit or are given in another way.
bool to_sizes(PyObject *args, const Dims &in, Dims &out) {
  PyObject *sizes = args;
  Py_ssize_t first = 1;
  if (PyTuple_GET_SIZE(args) == 2 && !PyLong_Check(PyTuple_GET_ITEM(args, 1))) {
    sizes = PyTuple_GET_ITEM(args, 1);
    first = 0;
  }
  if (!PyTuple_Check(sizes) && !PyList_Check(sizes)) return false;
  const Py_ssize_t end = PySequence_Fast_GET_SIZE(sizes);
  if (end - first > static_cast<Py_ssize_t>(Dims::capacity) || (sizes == args && end == 1))
    return false;
  out.rank = 0;
  std::size_t inferred = Dims::capacity;
  std::int64_t known = 1;
  const std::int64_t elements = in.elements();
  for (Py_ssize_t i = first; i < end; ++i) {
    std::int64_t size = 0;
    if (!to_int(PySequence_Fast_GET_ITEM(sizes, i), size) || size < -1) return false;
    if (size == -1) {
      if (inferred != Dims::capacity) return false;
      inferred = out.rank;
    } else if (__builtin_mul_overflow(known, size, &known)) {
      return false;
    }
    out.push(size);
  }
  if (inferred != Dims::capacity) {
    if (known == 0 || elements % known != 0) return false;
    out[inferred] = elements / known;
    known = elements;
  }
  return known == elements;
}

} // namespace

bool Tracer::is_made(PyObject *tensor) const {
  const auto found = seen_.find(tensor);
  return found != seen_.end() && found->second.made;
}

/// Whether a tensor has no values, for all the tracer knows.
bool Tracer::is_on_meta(PyObject *tensor) {
  if (Py_TYPE(tensor) != torch().tensor) return false;
  const auto found = seen_.find(tensor);
  if (found == seen_.end()) return false;
  if (!found->second.made && !found->second.on_meta) {
    const FunctionModesOff off(*this);
    found->second.on_meta = checked(PyObject_GetAttr(tensor, names().is_meta)).get() == Py_True;
  }
  return found->second.made || found->second.on_meta;
}

/// Whether a tensor depends on the input or is a parameter: its values are not to be asked for.
bool Tracer::is_live(PyObject *tensor) const {
  if (is_made(tensor)) return true;
  const Ref is_meta = checked(PyObject_GetAttr(tensor, names().is_meta));
  if (is_meta.get() == Py_True) return true;
  if (Py_TYPE(tensor) != torch().tensor &&
      PyObject_IsInstance(tensor, reinterpret_cast<PyObject *>(torch().parameter)) == 1)
    return true;
  const Ref tainted = checked(PyObject_CallMethodOneArg(driver_.get(), names().is_tainted, tensor));
  return tainted.get() == Py_True;
}

/// Whether any tensor in `value`, also in tuples, lists and dicts, is live; adds up the
/// elements of those before it.
bool Tracer::any_live(PyObject *value, Constants &constants, int depth) {
  if (is_tensor(value)) {
    if (is_live(value)) return true;
    Value about;
    constants.elements += look(value, about) ? about.form->dims.elements() : 0;
    ++constants.count;
    return false;
  }
  if (depth > 3) return false;
  if (PyTuple_Check(value)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i)
      if (any_live(PyTuple_GET_ITEM(value, i), constants, depth + 1)) return true;
  } else if (PyList_Check(value)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); ++i)
      if (any_live(PyList_GET_ITEM(value, i), constants, depth + 1)) return true;
  } else if (PyDict_Check(value)) {
    PyObject *key, *item;
    Py_ssize_t position = 0;
    while (PyDict_Next(value, &position, &key, &item))
      if (any_live(item, constants, depth + 1)) return true;
  }
  return false;
}

/// Torch may have changed shapes of these in place.
void Tracer::forget_forms(PyObject *args) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i) {
    const auto found = seen_.find(PyTuple_GET_ITEM(args, i));
    if (found != seen_.end()) found->second.form = nullptr;
  }
}

/// What view and reshape make on meta, without asking torch; null where torch must see to it.
PyObject *Tracer::resized(bool copies, PyObject *args, PyObject *keywords) {
  if (real_ || PyTuple_GET_SIZE(args) < 2 || PyDict_GET_SIZE(keywords) != 0) return nullptr;
  PyObject *base = PyTuple_GET_ITEM(args, 0);
  if (Py_TYPE(base) != torch().tensor) return nullptr;
  const auto found = seen_.find(base);
  // What the tracer made is contiguous.
  const bool made = found != seen_.end() && found->second.made && found->second.form != nullptr;
  if (!made) {
    if (!copies || is_transformed()) return nullptr;
    const FunctionModesOff off(*this);
    const Ref is_meta = checked(PyObject_GetAttr(base, names().is_meta));
    if (is_meta.get() != Py_True) return nullptr;
  }
  Value value;
  Dims dims;
  if (!look(base, value) || !to_sizes(args, value.form->dims, dims)) return nullptr;
  const Form *form = form_of(dims, value.form->dtype);
  Ref out = make_tensor(form);
  if (value.slot != Recording::no_slot) own(out.get(), Recording::view_of(value.slot), form);
  return out.release();
}

PyObject *Tracer::view(PyObject *func, PyObject *args, PyObject *keywords) {
  PyObject *base = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : nullptr;
  if (base == nullptr || (!real_ && Py_TYPE(base) != torch().tensor))
    return PyObject_CallMethodObjArgs(driver_.get(), names().view, func, args, keywords, nullptr);
  Ref out(PyObject_Call(func, args, keywords));
  if (!out) return nullptr;
  const auto alias_to_base = [&](PyObject *part) {
    if (part == base) return;
    const Recording::Slot slot = slot_of(base);
    if (slot != Recording::no_slot && is_tensor(part)) own(part, Recording::view_of(slot));
  };
  if (PyTuple_Check(out.get()))
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(out.get()); ++i)
      alias_to_base(PyTuple_GET_ITEM(out.get(), i));
  else if (PyList_Check(out.get()))
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(out.get()); ++i)
      alias_to_base(PyList_GET_ITEM(out.get(), i));
  else
    alias_to_base(out.get());
  return out.release();
}

PyObject *Tracer::function_of(PyObject *type, PyObject *func, PyObject *types, PyObject *args,
                              PyObject *keywords) {
  Ref out(PyObject_CallMethodObjArgs(driver_.get(), names().ask_stand_in, type, func, types, args,
                                     keywords, nullptr));
  return out.get() == Py_NotImplemented ? function(func, args, keywords) : out.release();
}

/// What a function of what the tracer has made returns, where that is known without asking torch
/// or Python; null, maybe with an error, if it is not.
PyObject *Tracer::answer_at_once(const Answer &answer, PyObject *args, PyObject *keywords) {
  if (answer.resizing != Resizing::no)
    if (PyObject *out = resized(answer.resizing == Resizing::copying, args, keywords)) return out;
  if (answer.native == nullptr || real_ || PyTuple_GET_SIZE(args) == 0) return nullptr;
  // Of constants values may be asked.
  if (!is_on_meta(PyTuple_GET_ITEM(args, 0))) return nullptr;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i) {
    PyObject *arg = PyTuple_GET_ITEM(args, i);
    if (!is_tensor(arg) || is_made(arg)) continue;
    if (is_transformed()) return nullptr;
    break;
  }
  return native(*answer.native, args, keywords);
}

PyObject *Tracer::function(PyObject *func, PyObject *args, PyObject *keywords) {
  const Answer *answer = answer_of(func);
  if (answer != nullptr) {
    if (PyObject *out = answer_at_once(*answer, args, keywords)) return out;
    if (PyErr_Occurred()) return nullptr;
    switch (answer->action) {
    case Action::reshapes:
      forget_forms(args);
      if (PyTuple_GET_SIZE(args) > 0)
        checked(PyObject_CallMethodOneArg(driver_.get(), names().keep, PyTuple_GET_ITEM(args, 0)));
      [[fallthrough]];
    case Action::free: return PyObject_Call(func, args, keywords);
    case Action::view: return view(func, args, keywords);
    case Action::item:
      if (PyTuple_GET_SIZE(args) == 2 && is_basic_index(PyTuple_GET_ITEM(args, 1)))
        return view(func, args, keywords);
      [[fallthrough]];
    case Action::rule:
    case Action::makes: {
      if (is_transformed()) break;
      Constants constants;
      if (answer->action != Action::makes && !real_ && !any_live(args, constants) &&
          !any_live(keywords, constants) && constants.count > 0) {
        if (answer->rule == nullptr) break;
        const Ref elements = checked(PyLong_FromLongLong(constants.elements));
        return PyObject_CallMethodObjArgs(driver_.get(), names().constant, answer->rule, func, args,
                                          keywords, elements.get(), nullptr);
      }
      Ref out(answer->native == nullptr ? nullptr : native(*answer->native, args, keywords));
      if (!out) {
        if (answer->rule == nullptr) break;
        PyObject *arguments[] = {driver_.get(), func, args, keywords};
        out = Ref(PyObject_Vectorcall(answer->rule, arguments, 4, nullptr));
        if (!out) return nullptr;
      }
      if (out.get() == Py_NotImplemented) break;
      if (!real_) return out.release();
      return PyObject_CallMethodObjArgs(driver_.get(), names().run_for_real, func, args, keywords,
                                        out.get(), nullptr);
    }
    }
  }
  forget_forms(args);
  return PyObject_CallMethodObjArgs(driver_.get(), names().fall_back, func, args, keywords,
                                    nullptr);
}

namespace {

/// Of the classes that overload a function the first that is no tensor, but merely stands for
/// one, as other libraries' quantised tensors do; null if there is none.
PyObject *stand_in_among(PyObject *types) {
  for (Py_ssize_t i = 0; PyTuple_Check(types) && i < PyTuple_GET_SIZE(types); ++i) {
    PyObject *type = PyTuple_GET_ITEM(types, i);
    if (PyType_Check(type) &&
        !PyType_IsSubtype(reinterpret_cast<PyTypeObject *>(type), torch().tensor))
      return type;
  }
  return nullptr;
}

/// __torch_function__ of the mode: (func, types, args=(), kwargs=None).
PyObject *torch_function(PyObject *, PyObject *const *args, Py_ssize_t n_args) {
  return guarded([&]() -> PyObject * {
    if (n_args < 2 || n_args > 4) throw py::type_error("__torch_function__ takes 2 to 4 arguments");
    const Ref none(PyTuple_New(0));
    PyObject *given = n_args > 2 ? args[2] : none.get();
    const bool named = n_args > 3 && args[3] != Py_None;
    const Ref empty(named ? nullptr : PyDict_New());
    PyObject *keywords = named ? args[3] : empty.get();
    if (PyObject *type = stand_in_among(args[1]))
      return active_tracer().function_of(type, args[0], args[1], given, keywords);
    return active_tracer().function(args[0], given, keywords);
  });
}

PyMethodDef torch_function_method = {
    "__torch_function__",
    reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&torch_function)), METH_FASTCALL,
    "Answers a torch function for the active tracer."};

/// torch_function as a method of TorchFunctionMode, ready to be set on a subclass.
py::object make_torch_function() {
  const py::object mode = py::module_::import("torch.overrides").attr("TorchFunctionMode");
  return py::reinterpret_steal<py::object>(
      PyDescr_NewMethod(reinterpret_cast<PyTypeObject *>(mode.ptr()), &torch_function_method));
}

/// The value of keyword argument i, for calls with METH_FASTCALL | METH_KEYWORDS.
bool is_named(PyObject *keywords, Py_ssize_t i, const char *name) {
  return PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, i), name) == 0;
}

/// emit(kind, op, operands, shape=None, dtype=None, *, channel_axis=1, batched=True,
/// fields=None, into=None).
PyObject *emit(PyObject *, PyObject *const *args, Py_ssize_t n_args, PyObject *keywords) {
  return guarded([&]() -> PyObject * {
    if (n_args < 3 || n_args > 5 || !PyLong_Check(args[0]) || !PyUnicode_Check(args[1]) ||
        !PyTuple_Check(args[2]))
      throw py::type_error("emit takes a kind, the name of an op, and a tuple of operands");
    Tracer::Op op;
    op.kind = static_cast<std::uint16_t>(PyLong_AsLong(args[0]));
    op.name = args[1];
    op.operands = args[2];
    if (n_args > 3) op.shape = args[3];
    if (n_args > 4) op.dtype = args[4];
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < n_keywords; ++i) {
      PyObject *value = args[n_args + i];
      if (is_named(keywords, i, "fields"))
        op.fields = value;
      else if (is_named(keywords, i, "into"))
        op.into = value;
      else if (is_named(keywords, i, "channel_axis"))
        op.channel_axis = static_cast<int>(PyLong_AsLong(value));
      else if (is_named(keywords, i, "batched"))
        op.batched = PyObject_IsTrue(value) == 1;
      else
        throw py::type_error("emit has no such argument");
    }
    if (PyErr_Occurred()) return nullptr;
    return active_tracer().emit(op).release().ptr();
  });
}

/// alias(tensor, base).
PyObject *alias(PyObject *, PyObject *const *args, Py_ssize_t n_args) {
  return guarded([&]() -> PyObject * {
    if (n_args != 2) throw py::type_error("alias takes a tensor and its base");
    active_tracer().alias(py::reinterpret_borrow<py::object>(args[0]),
                          py::reinterpret_borrow<py::object>(args[1]));
    Py_RETURN_NONE;
  });
}

PyMethodDef function_methods[] = {
    {"emit", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&emit)),
     METH_FASTCALL | METH_KEYWORDS,
     "Records an op; returns `into`, or a new meta tensor of `shape`, or None."},
    {"alias", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&alias)), METH_FASTCALL,
     "Says that `tensor` is a view of `base`, or `base` itself."},
    {nullptr, nullptr, 0, nullptr}};

} // namespace

void register_functions(py::module_ &module) {
  register_direct(module);
  PyModule_AddFunctions(module.ptr(), function_methods);
  module.def("torch_function", &make_torch_function,
             "The method that is a function mode's __torch_function__.");
  module.def("set_answers", &set_answers, py::arg("free"), py::arg("reshaping"), py::arg("views"),
             py::arg("makers"), py::arg("rules"), py::arg("resizing"), py::arg("native"),
             "Says which torch functions are questions, views, or have a rule; which only give a "
             "tensor other sizes (whether by a copy where need be); which are answered here, as "
             "(form, kind, name, rank).");
  module.def(
      "answer",
      [](std::size_t rule, const py::str &op, const py::object &input, const py::dict &attributes,
         const py::object &weight, const py::object &bias) {
        return active_tracer().answer(rule, op, input, attributes, weight, bias);
      },
      py::arg("rule"), py::arg("op"), py::arg("input"), py::arg("attributes"),
      py::arg("weight") = py::none(), py::arg("bias") = py::none(),
      "The output by a leaf rule for a module with such attributes, recorded, or None.");
}

} // namespace bopscount::bindings
