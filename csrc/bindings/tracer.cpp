#include "tracer/tracer.hpp"

#include <algorithm>
#include <memory>

#include "bindings/bindings.hpp"
#include "core/count.hpp"
#include "core/op_table.hpp"
#include "tracer/results.hpp"

namespace bopscount::bindings {
namespace {

using tracer::Answers;
using tracer::Tracer;

template <class T> py::array_t<T> to_array(const std::vector<T> &values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::object to_object(const Dims &dims) {
  return py::reinterpret_steal<py::object>(tracer::to_tuple(dims).release());
}

py::tuple totals(const Tracer &tracer, const std::string &rules) {
  const tracer::Results results = tracer::results_of(tracer.tree(), tracer.recorder());
  return to_tuple(count_totals(results.layers, rules_of(rules)));
}

/// Return (name, class, parent, height, leaf, calls) of each module.
py::list nodes_of(const tracer::ModuleTree &tree) {
  py::list nodes;
  for (const tracer::Node &node : tree.nodes())
    nodes.append(py::make_tuple(node.name == nullptr
                                    ? py::object(py::str(""))
                                    : py::reinterpret_borrow<py::object>(node.name),
                                py::str(Py_TYPE(node.module.get())->tp_name), node.parent,
                                node.height, node.leaf, node.calls));
  return nodes;
}

/// Add the producers of each record's operands, one array a property.
void add_sources(py::dict &data, const Recording &recording, std::size_t n_layers) {
  const auto &sources = recording.sources();
  const auto n_sources = static_cast<py::ssize_t>(sources.size());
  py::array_t<std::int32_t> producers(n_sources), input_numbers(n_sources);
  py::array_t<bool> viewed(n_sources);
  for (py::ssize_t i = 0; i < n_sources; ++i) {
    const Source &source = sources[static_cast<std::size_t>(i)];
    producers.mutable_at(i) = source.producer;
    input_numbers.mutable_at(i) = source.input;
    viewed.mutable_at(i) = source.viewed;
  }
  std::vector<std::int64_t> starts(recording.source_starts());
  starts.resize(n_layers + 1, recording.source_starts().back());
  data["producers"] = producers;
  data["input_numbers"] = input_numbers;
  data["viewed"] = viewed;
  data["producer_starts"] = to_array(starts);
}

py::dict finish(const Tracer &tracer) {
  const tracer::Recorder &recorder = tracer.recorder();
  const Recording &recording = recorder.recording();
  const tracer::Results results = tracer::results_of(tracer.tree(), recorder);
  const std::size_t n_layers = results.layers.size();
  py::list inputs, outputs, ops;
  Dims no_shape;
  for (int i = 0; i < 4; ++i) no_shape.push(0);
  for (std::size_t i = 0; i < n_layers; ++i) {
    const bool ran = i < recording.size();
    inputs.append(to_object(ran ? recording.input_dims(i) : no_shape));
    outputs.append(to_object(ran ? recording.output_dims(i) : no_shape));
    if (ran)
      ops.append(py::reinterpret_borrow<py::object>(recorder.op(i)));
    else
      ops.append(py::str(op_table()[results.layers[i].kind].name));
  }
  py::dict data;
  data["records"] = to_array(results.layers);
  data["record_nodes"] = to_array(results.nodes);
  add_sources(data, recording, n_layers);
  data["input_shapes"] = inputs;
  data["output_shapes"] = outputs;
  data["ops"] = ops;
  data["nodes"] = nodes_of(tracer.tree());
  return data;
}

std::shared_ptr<Answers> make_answers(const py::object &free, const py::object &reshaping,
                                      const py::object &views, const py::object &makers,
                                      const py::dict &rules, const py::dict &resizing,
                                      const py::dict &fast, const py::list &entry_points,
                                      const py::set &plain_types) {
  return std::make_shared<Answers>(Answers::Tables{.free = free,
                                                   .reshaping = reshaping,
                                                   .views = views,
                                                   .makers = makers,
                                                   .rules = rules,
                                                   .resizing = resizing,
                                                   .fast = fast,
                                                   .entry_points = entry_points,
                                                   .plain_types = plain_types});
}

} // namespace

void register_tracer(py::module_ &module) {
  py::list leaf_names;
  for (const tracer::LeafRule &rule : tracer::leaf_rules()) leaf_names.append(py::str(rule.name));
  module.attr("LEAF_RULES") = py::tuple(leaf_names);
  py::class_<Answers, std::shared_ptr<Answers>>(
      module, "Answers", "How the tracer answers each torch function; built once, for all traces.")
      .def(py::init(&make_answers), py::arg("free"), py::arg("reshaping"), py::arg("views"),
           py::arg("makers"), py::arg("rules"), py::arg("resizing"), py::arg("fast"),
           py::arg("entry_points"), py::arg("plain_types"));
  py::class_<Tracer>(module, "Tracer", "The tracer of one model in one thread.")
      .def(py::init<const py::object &, std::shared_ptr<Answers>, bool>(), py::arg("host"),
           py::arg("answers"), py::arg("real"))
      .def(
          "walk", [](Tracer &self, const py::object &model) { self.tree().walk(model.ptr()); },
          py::arg("model"), "List the model's modules, parents before children.")
      .def("run", &Tracer::run, py::arg("model"), py::arg("body"), py::arg("tidy"), py::arg("mode"),
           py::arg("patches"), py::arg("training"),
           "Run body() under the tracer, then, whatever happened, tidy().")
      .def("release", &Tracer::release)
      .def_property_readonly("node", [](const Tracer &self) { return self.recorder().node(); })
      .def("__len__", [](const Tracer &self) { return self.recorder().size(); })
      .def_property_readonly("n_products",
                             [](const Tracer &self) { return self.recorder().n_products(); })
      .def(
          "input",
          [](Tracer &self, const py::object &tensor) { self.recorder().input(tensor.ptr()); },
          py::arg("tensor"))
      .def(
          "another",
          [](Tracer &self, const py::object &shape, const py::object &dtype) {
            return self.recorder().another(shape.ptr(), dtype.ptr());
          },
          py::arg("shape"), py::arg("dtype"))
      .def(
          "set_bits",
          [](Tracer &self, const py::object &tensor, int bits) {
            self.recorder().set_bits(tensor.ptr(), bits);
          },
          py::arg("tensor"), py::arg("bits"))
      .def(
          "bits_of",
          [](const Tracer &self, const py::object &tensor) {
            return self.recorder().bits_of(tensor.ptr());
          },
          py::arg("tensor"))
      .def(
          "rewrite",
          [](Tracer &self, std::size_t mark, const py::dict &fields) {
            return self.recorder().rewrite(mark, fields.ptr());
          },
          py::arg("mark"), py::arg("fields"))
      .def(
          "producer_of",
          [](const Tracer &self, const py::object &tensor) {
            return self.recorder().producer_of(tensor.ptr());
          },
          py::arg("tensor"))
      .def("totals", &totals, py::arg("rules") = "torchstat")
      .def("finish", &finish)
      .def("failure", [](const Tracer &self) { return self.calls().failure(); })
      .def(
          "path", [](const Tracer &self, std::int32_t node) { return self.tree().path(node); },
          py::arg("node"));
}

} // namespace bopscount::bindings
