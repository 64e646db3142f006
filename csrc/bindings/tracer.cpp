#include "tracer_detail.hpp"

namespace bopscount::bindings {
namespace {

/// The tracer that is active, in whichever thread; guarded by the GIL.
Tracer *active = nullptr;

} // namespace

const Torch &torch() {
  static const Torch found = [] {
    const auto get = [](const char *module, const char *name) {
      return py::object(py::module_::import(module).attr(name)).release().ptr();
    };
    return Torch{
        reinterpret_cast<PyTypeObject *>(get("torch", "Tensor")),
        reinterpret_cast<PyTypeObject *>(get("torch.nn", "Parameter")),
        get("torch", "empty"),
        py::object(py::module_::import("torch").attr("device")("meta")).release().ptr(),
        get("torch._C", "DisableTorchFunction"),
        py::object(py::module_::import("torch.nn").attr("Module").attr("__call__")).release().ptr(),
        py::make_tuple("dtype", "device").release().ptr(),
        get("torch._C._functorch", "peek_interpreter_stack")};
  }();
  return found;
}

Tracer::Tracer(py::object driver, bool real) : driver_(driver.release().ptr()), real_(real) {
  const Ref modes = checked(PyObject_CallNoArgs(torch().disable));
  modes_off_ = checked(PyObject_GetAttrString(modes.get(), "__enter__"));
  modes_on_ = checked(PyObject_GetAttrString(modes.get(), "__exit__"));
}

Tracer::~Tracer() {
  release();
  for (PyObject *op : ops_) Py_DECREF(op);
  for (Node &node : nodes_) Py_DECREF(node.module);
}

void Tracer::release() {
  for (PyObject *tensor : kept_) Py_DECREF(tensor);
  for (auto &[key, tensor] : templates_) Py_XDECREF(tensor);
  kept_.clear();
  seen_.clear();
  templates_.clear();
  for (Node &node : nodes_) node.python_rule = node.class_name = nullptr;
  classes_.clear();
  driver_ = Ref();
  failed_error_ = Ref();
}

std::size_t Tracer::FormHash::operator()(const Form &key) const {
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

Tracer &active_tracer() {
  if (active == nullptr || !active->is_mine())
    throw std::runtime_error("no tracer is active in this thread");
  return *active;
}

namespace {

/// What a module class's __call__ is while a tracer is active.
PyObject *traced_call(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                      PyObject *keywords) {
  return guarded([&]() -> PyObject * {
    if (active != nullptr && active->is_mine()) return active->call(module, args, n_args, keywords);
    // Another thread's business: as if nothing were here.
    std::vector<PyObject *> all{module};
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    all.insert(all.end(), args, args + n_args + n_keywords);
    return PyObject_Vectorcall(torch().module_call, all.data(),
                               static_cast<std::size_t>(n_args + 1), keywords);
  });
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
  register_functions(module);
  module.def("traced_call", &make_traced_call,
             "The method that takes the place of a module class's __call__.");
  py::class_<Tracer>(module, "Tracer", "Records one model in one thread.")
      .def(py::init<py::object, bool>(), py::arg("driver"), py::arg("real"))
      .def("walk", &Tracer::walk, py::arg("model"),
           "Lists the model's modules, parents before children.")
      .def("classes", &Tracer::classes)
      .def("activate", &Tracer::activate)
      .def("deactivate", &Tracer::deactivate)
      .def("release", &Tracer::release)
      .def_property_readonly("node", &Tracer::node)
      .def("__len__", &Tracer::n_records)
      .def("another", &Tracer::another, py::arg("shape"), py::arg("dtype"))
      .def("set_bits", &Tracer::set_bits, py::arg("tensor"), py::arg("bits"))
      .def("rewrite", &Tracer::rewrite, py::arg("mark"), py::arg("fields"))
      .def("producer_of", &Tracer::producer_of, py::arg("tensor"))
      .def("totals", &Tracer::totals, py::arg("rules") = "torchstat")
      .def("finish", &Tracer::finish)
      .def("failure", &Tracer::failure)
      .def("path", &Tracer::path, py::arg("node"));
}

} // namespace bopscount::bindings
