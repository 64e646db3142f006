#include "tracer/snapshot.hpp"

#include "bindings/bindings.hpp"

namespace bopscount::bindings {

void register_snapshot(py::module_ &module) {
  using tracer::Snapshot;
  py::class_<Snapshot>(module, "Snapshot", "The contents of a model's modules.")
      .def(py::init<const py::object &>(), py::arg("model"))
      .def("set_eval", &Snapshot::set_eval)
      .def("restore", &Snapshot::restore);
}

} // namespace bopscount::bindings
