#include "tracer/entry_points.hpp"

#include <string>

#include "tracer/tracer.hpp"

namespace bopscount::tracer {
namespace {

// The fields of torch's objects are process-wide, and a C entry gets no argument that says which
// trace it serves. So this is process-wide too, and set only while a trace runs; guarded by the
// GIL. A trace within a trace finds the entries of the outer one.
const EntryPoints *installed = nullptr;
int n_installed = 0;

PyMethodDescrObject *as_method(PyObject *object) {
  return reinterpret_cast<PyMethodDescrObject *>(object);
}
PyCFunctionObject *as_function(PyObject *object) {
  return reinterpret_cast<PyCFunctionObject *>(object);
}
PyGetSetDescrObject *as_property(PyObject *object) {
  return reinterpret_cast<PyGetSetDescrObject *>(object);
}

PyObject *call_torch_entry(const EntryPoint &entry, PyObject *const *args, std::size_t n_flagged,
                           PyObject *names) {
  if (entry.call != nullptr) return entry.call(entry.object.get(), args, n_flagged, names);
  const Arguments given(args, PyVectorcall_NARGS(n_flagged), names);
  return PyCFunction_Type.tp_call(entry.object.get(), given.positional.get(), given.named.get());
}

} // namespace

/// The functions that stand in torch's fields during a trace.
struct Entries {
  static PyObject *call(PyObject *object, PyObject *const *args, std::size_t n_flagged,
                        PyObject *names) {
    const EntryPoint &entry = *installed->by_object_.find(object)->second;
    const Py_ssize_t n_args = PyVectorcall_NARGS(n_flagged);
    const Py_ssize_t n_named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
    if (Tracer *const tracer = tracer_asked(args, n_args + n_named)) {
      PyObject *out = guarded([&]() -> PyObject * {
        if (entry.answer->action == Action::free) {
          if (n_named == 0)
            if (PyObject *known = tracer->answer_question(entry.question, args, n_args))
              return known;
          const ModePopped popped;
          return call_torch_entry(entry, args, n_flagged, names);
        }
        const Arguments given(args, n_args, names);
        return tracer->functions().fast_path(*entry.answer, entry.function.get(), given);
      });
      if (out != nullptr) return out;
      if (PyErr_Occurred()) {
        if (!entry.is_operator || !PyErr_ExceptionMatches(PyExc_TypeError)) return nullptr;
        PyErr_Clear();
        Py_RETURN_NOTIMPLEMENTED;
      }
    }
    return call_torch_entry(entry, args, n_flagged, names);
  }

  static PyObject *get(PyObject *object, void *closure) {
    const EntryPoint &entry = *static_cast<const EntryPoint *>(closure);
    const auto ask_torch = [&] { return entry.property->get(object, entry.property->closure); };
    Tracer *const tracer = tracer_asked(&object, 1);
    if (tracer == nullptr) return ask_torch();
    return guarded([&]() -> PyObject * {
      if (PyObject *known = tracer->answer_question(entry.question, &object, 1)) return known;
      const ModePopped popped;
      return ask_torch();
    });
  }
  static int set(PyObject *object, PyObject *value, void *closure) {
    const PyGetSetDef &property = *static_cast<const EntryPoint *>(closure)->property;
    return property.set(object, value, property.closure);
  }

  static PyObject *get_item(PyObject *object, PyObject *index) {
    PyObject *const args[] = {object, index};
    if (Tracer *const tracer = tracer_asked(args, 2)) {
      const EntryPoint &entry = *installed->get_item_;
      PyObject *out = guarded([&] {
        return tracer->functions().fast_path(*entry.answer, entry.function.get(),
                                             Arguments(args, 2, nullptr));
      });
      if (out != nullptr || PyErr_Occurred()) return out;
    }
    return installed->torch_get_item_(object, index);
  }
  static int set_item(PyObject *object, PyObject *index, PyObject *value) {
    PyObject *const args[] = {object, index, value};
    if (Tracer *const tracer = value == nullptr ? nullptr : tracer_asked(args, 3)) {
      const EntryPoint &entry = *installed->set_item_;
      const Ref done(guarded([&] {
        return tracer->functions().fast_path(*entry.answer, entry.function.get(),
                                             Arguments(args, 3, nullptr));
      }));
      if (done || PyErr_Occurred()) return done ? 0 : -1;
    }
    return installed->torch_set_item_(object, index, value);
  }
};

EntryPoints::EntryPoints()
    : torch_get_item_(torch().tensor->tp_as_mapping->mp_subscript),
      torch_set_item_(torch().tensor->tp_as_mapping->mp_ass_subscript) {}

void EntryPoints::add(PyObject *object, PyObject *function, const Answer &answer,
                      bool is_operator) {
  const auto name = py::handle(object).attr("__name__").cast<std::string>();
  auto entry = std::make_unique<EntryPoint>(EntryPoint{.object = Ref::borrow(object),
                                                       .function = Ref::borrow(function),
                                                       .answer = &answer,
                                                       .question = question_of(name),
                                                       .is_operator = is_operator});
  if (Py_TYPE(object) == &PyMethodDescr_Type) {
    entry->call = as_method(object)->vectorcall;
    entry->method = entry->our_method = as_method(object)->d_method;
    if (entry->call == nullptr) return;
#if PY_VERSION_HEX >= 0x030B0000
    // Python calls a method without arguments past its vectorcall field, if its flags say so.
    // Only for questions: other bound methods, called later, would then take any arguments.
    if (entry->question == Question::dim && entry->method->ml_flags == METH_NOARGS) {
      // Never freed: a method that was bound during a trace points to it for good.
      entry->our_method = new PyMethodDef(*entry->method);
      entry->our_method->ml_flags = METH_VARARGS | METH_KEYWORDS;
    }
#endif
  } else if (PyCFunction_CheckExact(object)) {
    if ((PyCFunction_GET_FLAGS(object) & METH_VARARGS) == 0) return;
    entry->call = as_function(object)->vectorcall;
  } else if (Py_TYPE(object) == &PyGetSetDescr_Type && answer.action == Action::free) {
    entry->property = as_property(object)->d_getset;
    entry->our_property = *entry->property;
    entry->our_property.get = &Entries::get;
    if (entry->property->set != nullptr) entry->our_property.set = &Entries::set;
    entry->our_property.closure = entry.get();
  } else if (Py_TYPE(object) == &PyWrapperDescr_Type) {
    (name == "__getitem__" ? get_item_ : set_item_) = entry.get();
  } else {
    return;
  }
  by_object_[object] = entry.get();
  all_.push_back(std::move(entry));
}

/// Give torch's objects our entries, or their own back.
void EntryPoints::set(bool ours) const {
  for (const auto &entry : all_) {
    PyObject *const object = entry->object.get();
    if (entry->method != nullptr) {
      as_method(object)->vectorcall = ours ? &Entries::call : entry->call;
      as_method(object)->d_method = ours ? entry->our_method : entry->method;
    } else if (entry->property != nullptr) {
      as_property(object)->d_getset = ours ? &entry->our_property : entry->property;
    } else if (PyCFunction_CheckExact(object)) {
      as_function(object)->vectorcall = ours ? &Entries::call : entry->call;
    }
  }
  PyMappingMethods &subscripts = *torch().tensor->tp_as_mapping;
  if (get_item_ != nullptr) subscripts.mp_subscript = ours ? &Entries::get_item : torch_get_item_;
  if (set_item_ != nullptr)
    subscripts.mp_ass_subscript = ours ? &Entries::set_item : torch_set_item_;
}

EntryPoints::Installed::Installed(const EntryPoints &entries) {
  if (n_installed++ > 0) return;
  installed = &entries;
  entries.set(true);
}
EntryPoints::Installed::~Installed() {
  if (--n_installed > 0) return;
  installed->set(false);
  installed = nullptr;
}

Tracer *tracer_asked(PyObject *const *args, Py_ssize_t n) {
  Tracer *const tracer = tracer_here();
  return tracer != nullptr && tracer->answers().are_plain(args, n) && tracer->is_on_top() ? tracer
                                                                                          : nullptr;
}

} // namespace bopscount::tracer
