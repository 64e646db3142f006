#include "tracer_detail.hpp"

namespace bopscount::bindings {
namespace {

/// The tracer that is active, in whichever thread; guarded by the GIL.
Tracer *active = nullptr;

Ref attribute(const char *module, const char *name) {
  return Ref(py::object(py::module_::import(module).attr(name)).release().ptr());
}

} // namespace

Tracer::Tracer(py::object classify, py::object rewrite, bool real)
    : classify_(classify.release().ptr()), rewrite_(rewrite.release().ptr()),
      empty_(attribute("torch", "empty")), disable_(attribute("torch._C", "DisableTorchFunction")),
      peek_transform_(attribute("torch._C._functorch", "peek_interpreter_stack")), real_(real) {
  const py::module_ torch = py::module_::import("torch");
  meta_ = Ref(torch.attr("device")("meta").release().ptr());
  module_call_ = Ref(py::object(torch.attr("nn").attr("Module").attr("__call__")).release().ptr());
  empty_keywords_ = Ref(py::make_tuple("dtype", "device").release().ptr());
}

Tracer::~Tracer() {
  release();
  for (PyObject *op : ops_) Py_DECREF(op);
  for (Node &node : nodes_) Py_DECREF(node.module);
}

void Tracer::release() {
  for (PyObject *tensor : kept_) Py_DECREF(tensor);
  for (auto &[key, tensor] : templates_) Py_DECREF(tensor);
  kept_.clear();
  templates_.clear();
  slots_.clear();
  for (Node &node : nodes_) node.python_rule = nullptr;
  classes_.clear();
  classify_ = Ref();
  rewrite_ = Ref();
  failed_error_ = Ref();
}

std::size_t Tracer::TemplateHash::operator()(const Template &key) const {
  std::size_t hash = reinterpret_cast<std::size_t>(key.dtype);
  for (const std::int64_t size : key.dims)
    hash = (hash ^ static_cast<std::size_t>(size)) * 0x9E3779B97F4A7C15ULL;
  return hash;
}

bool Tracer::is_mine() const { return thread_ == PyThread_get_thread_ident(); }

void Tracer::activate() {
  thread_ = PyThread_get_thread_ident();
  previous_ = active;
  active = this;
}

void Tracer::deactivate() { active = previous_; }

namespace {

/// What a module class's __call__ is while a tracer is active.
PyObject *traced_call(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                      PyObject *keywords) {
  try {
    if (active != nullptr && active->is_mine()) return active->call(module, args, n_args, keywords);
    // Another thread's business: as if nothing were here.
    static PyObject *const module_call =
        py::object(py::module_::import("torch.nn").attr("Module").attr("__call__")).release().ptr();
    std::vector<PyObject *> all{module};
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    all.insert(all.end(), args, args + n_args + n_keywords);
    return PyObject_Vectorcall(module_call, all.data(), static_cast<std::size_t>(n_args + 1),
                               keywords);
  } catch (py::error_already_set &error) {
    error.restore();
  } catch (const py::builtin_exception &error) {
    error.set_error();
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyMethodDef traced_call_method = {
    "__call__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&traced_call)),
    METH_FASTCALL | METH_KEYWORDS, "Answers or enters a module for the active tracer."};

/// traced_call as a method of torch.nn.Module, ready to be set on a subclass.
py::object make_traced_call() {
  const py::object module_type = py::module_::import("torch.nn").attr("Module");
  return py::reinterpret_steal<py::object>(
      PyDescr_NewMethod(reinterpret_cast<PyTypeObject *>(module_type.ptr()), &traced_call_method));
}

} // namespace

void register_tracer(py::module_ &module) {
  py::list leaf_names;
  for (const LeafRule &rule : leaf_rules()) leaf_names.append(py::str(rule.name));
  module.attr("LEAF_RULES") = py::tuple(leaf_names);
  module.def("traced_call", &make_traced_call,
             "The method that takes the place of a module class's __call__.");
  py::class_<Tracer>(module, "Tracer", "Records one model in one thread.")
      .def(py::init<py::object, py::object, bool>(), py::arg("classify"), py::arg("rewrite"),
           py::arg("real"))
      .def("walk", &Tracer::walk, py::arg("model"),
           "Lists the model's modules, parents before children.")
      .def("classes", &Tracer::classes)
      .def("activate", &Tracer::activate)
      .def("deactivate", &Tracer::deactivate)
      .def("release", &Tracer::release)
      .def_property_readonly("node", &Tracer::node)
      .def("__len__", &Tracer::n_records)
      .def("emit", &Tracer::emit, py::arg("kind"), py::arg("op"), py::arg("operands"),
           py::arg("shape") = py::none(), py::arg("dtype") = py::none(),
           py::arg("channel_axis") = 1, py::arg("batched") = true, py::arg("fields") = py::none(),
           py::arg("into") = py::none())
      .def("answer", &Tracer::answer, py::arg("rule"), py::arg("op"), py::arg("input"),
           py::arg("attributes"), py::arg("weight") = py::none(), py::arg("bias") = py::none())
      .def("another", &Tracer::another, py::arg("shape"), py::arg("dtype"))
      .def("alias", &Tracer::alias, py::arg("tensor"), py::arg("base"))
      .def("rewrite", &Tracer::rewrite, py::arg("mark"), py::arg("fields"))
      .def("producer_of", &Tracer::producer_of, py::arg("tensor"))
      .def("totals", &Tracer::totals, py::arg("rules") = "torchstat")
      .def("finish", &Tracer::finish)
      .def("failure", &Tracer::failure)
      .def("path", &Tracer::path, py::arg("node"));
}

} // namespace bopscount::bindings
