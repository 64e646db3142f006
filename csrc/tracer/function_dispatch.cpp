#include "tracer/function_dispatch.hpp"

#include "tracer/indexing.hpp"
#include "tracer/names.hpp"

namespace bopscount::tracer {

PyObject *FunctionDispatch::call(PyObject *func, PyObject *args, PyObject *keywords) {
  if (const Answer *answer = answers_.find(func)) {
    if (PyObject *out = answer_at_once(*answer, args, keywords)) return out;
    if (PyErr_Occurred()) return nullptr;
    switch (answer->action) {
    case Action::reshapes:
      seen_.forget_forms(args);
      if (PyTuple_GET_SIZE(args) > 0) host_.keep(PyTuple_GET_ITEM(args, 0));
      [[fallthrough]];
    case Action::free: return PyObject_Call(func, args, keywords);
    case Action::view: return view(func, args, keywords);
    case Action::item:
      if (PyTuple_GET_SIZE(args) == 2 && is_basic_index(PyTuple_GET_ITEM(args, 1)))
        return view(func, args, keywords);
      [[fallthrough]];
    case Action::rule:
    case Action::makes: {
      PyObject *out = answer_by_rule(*answer, func, args, keywords);
      if (out != nullptr || PyErr_Occurred()) return out;
    }
    }
  }
  seen_.forget_forms(args);
  return host_.fall_back(func, args, keywords);
}

/// Answer by the fast answer or the rule of a function. Null without an error if neither is
/// certain.
PyObject *FunctionDispatch::answer_by_rule(const Answer &answer, PyObject *func, PyObject *args,
                                           PyObject *keywords) {
  if (is_transformed()) return nullptr;
  Constants constants;
  if (answer.action != Action::makes && !real_ && !any_live(args, constants) &&
      !any_live(keywords, constants) && constants.count > 0) {
    if (!answer.rule) return nullptr;
    return host_.constant(answer.rule.get(), func, args, keywords, constants.elements);
  }
  Ref out(answer.fast ? fast_.answer(*answer.fast, args, keywords) : nullptr);
  if (!out) {
    if (!answer.rule) return nullptr;
    PyObject *arguments[] = {host_.object(), func, args, keywords};
    out = Ref(PyObject_Vectorcall(answer.rule.get(), arguments, 4, nullptr));
    if (!out) return nullptr;
  }
  if (out.get() == Py_NotImplemented) return nullptr;
  if (!real_) return out.release();
  return host_.run_for_real(func, args, keywords, out.get());
}

/// Answer without torch or Python. Null, with or without an error, if that is not possible.
PyObject *FunctionDispatch::answer_at_once(const Answer &answer, PyObject *args,
                                           PyObject *keywords) {
  if (answer.resizing != Resizing::no)
    if (PyObject *out = resized(answer.resizing == Resizing::copying, args, keywords)) return out;
  if (!answer.fast || real_ || PyTuple_GET_SIZE(args) == 0) return nullptr;
  // The forward may read the values of a constant.
  if (!seen_.is_on_meta(PyTuple_GET_ITEM(args, 0))) return nullptr;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i) {
    PyObject *arg = PyTuple_GET_ITEM(args, i);
    if (!is_tensor(arg) || seen_.is_made(arg)) continue;
    if (is_transformed()) return nullptr;
    break;
  }
  return fast_.answer(*answer.fast, args, keywords);
}

PyObject *FunctionDispatch::fast_path(const Answer &answer, PyObject *func,
                                      const Arguments &given) {
  PyObject *const args = given.positional.get();
  if (PyObject *out = answer_at_once(answer, args, given.named.get())) return out;
  // Rules in Python wait for the mode: torch checks the arguments before it calls one, and rules
  // rely on that.
  if (PyErr_Occurred() || (answer.action != Action::view && answer.action != Action::item))
    return nullptr;
  if (answer.action == Action::item &&
      (PyTuple_GET_SIZE(args) != 2 || !is_basic_index(PyTuple_GET_ITEM(args, 1))))
    return nullptr;
  const ModePopped popped;
  return view(func, args, given.named.get());
}

PyObject *FunctionDispatch::call_stand_in(PyObject *type, PyObject *func, PyObject *types,
                                          PyObject *args, PyObject *keywords) {
  Ref out(host_.ask_stand_in(type, func, types, args, keywords));
  return out.get() == Py_NotImplemented ? call(func, args, keywords) : out.release();
}

/// Return the output of view or reshape on meta without torch. Null if torch must be asked.
PyObject *FunctionDispatch::resized(bool copies, PyObject *args, PyObject *keywords) {
  if (real_ || PyTuple_GET_SIZE(args) < 2 || PyDict_GET_SIZE(keywords) != 0) return nullptr;
  PyObject *base = PyTuple_GET_ITEM(args, 0);
  if (Py_TYPE(base) != torch().tensor) return nullptr;
  // A tensor that the tracer made is contiguous, so that any sizes make a view.
  if (seen_.made_form(base) == nullptr) {
    if (!copies || is_transformed()) return nullptr;
    const FunctionModesOff off(modes_);
    const Ref is_meta = checked(PyObject_GetAttr(base, names().is_meta));
    if (is_meta.get() != Py_True) return nullptr;
  }
  Value value;
  Dims dims;
  if (!seen_.look(base, value) || !viewed_shape(args, value.form->dims, dims)) return nullptr;
  const Form *form = forms_.form_of(dims, value.form->dtype);
  Ref out = forms_.make_tensor(*form);
  if (value.slot != Recording::no_slot) seen_.add(out.get(), Recording::view_of(value.slot), form);
  return out.release();
}

/// Return torch's own view, as an alias of its base.
PyObject *FunctionDispatch::view(PyObject *func, PyObject *args, PyObject *keywords) {
  PyObject *base = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : nullptr;
  if (base == nullptr || (!real_ && Py_TYPE(base) != torch().tensor))
    return host_.view(func, args, keywords);
  Ref out(PyObject_Call(func, args, keywords));
  if (!out) return nullptr;
  const auto alias_to_base = [&](PyObject *part) {
    if (part == base) return;
    const Recording::Slot slot = seen_.slot_of(base);
    if (slot != Recording::no_slot && is_tensor(part)) seen_.add(part, Recording::view_of(slot));
  };
  if (PyTuple_Check(out.get()) || PyList_Check(out.get()))
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(out.get()); ++i)
      alias_to_base(PySequence_Fast_GET_ITEM(out.get(), i));
  else
    alias_to_base(out.get());
  return out.release();
}

/// Whether any tensor in `value`, also in tuples, lists and dicts, is live. Counts the constants
/// before it.
bool FunctionDispatch::any_live(PyObject *value, Constants &constants, int depth) {
  if (is_tensor(value)) {
    if (seen_.is_live(value)) return true;
    Value about;
    constants.elements += seen_.look(value, about) ? about.form->dims.elements() : 0;
    ++constants.count;
    return false;
  }
  if (depth > 3) return false;
  if (PyTuple_Check(value) || PyList_Check(value)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i)
      if (any_live(PySequence_Fast_GET_ITEM(value, i), constants, depth + 1)) return true;
  } else if (PyDict_Check(value)) {
    PyObject *key, *part;
    Py_ssize_t position = 0;
    while (PyDict_Next(value, &position, &key, &part))
      if (any_live(part, constants, depth + 1)) return true;
  }
  return false;
}

} // namespace bopscount::tracer
