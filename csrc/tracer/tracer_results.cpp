// What a trace comes to.
#include <pybind11/numpy.h>

#include <algorithm>

#include "bindings/bindings.hpp"
#include "core/count.hpp"
#include "tracer/tracer_detail.hpp"

namespace bopscount::bindings {

namespace {

/// What is packed away where torch lists no parameters counts as if it were listed.
void set_params(Layer &layer, const Node &node) {
  layer.logical_params = node.logical_params < 0 ? node.params : node.logical_params;
  layer.params = node.params > 0 ? node.params : layer.logical_params;
}

} // namespace

/// The records, with each node's parameters on the first of its own, and records for
/// modules that have none: never called, or inner ones with parameters.
std::vector<Layer> Tracer::layers_with_params(std::vector<std::int32_t> *extra_nodes) {
  std::vector<Layer> layers = recording_.layers();
  std::vector<bool> has_record(nodes_.size(), false);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto at = static_cast<std::size_t>(record_nodes_[i]);
    if (!nodes_[at].leaf || has_record[at]) continue;
    has_record[at] = true;
    set_params(layers[i], nodes_[at]);
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Node &node = nodes_[i];
    if (has_record[i] || (!node.leaf && node.params == 0)) continue;
    Layer layer;
    layer.kind = static_cast<std::uint16_t>(node.leaf ? Kind::uncalled : Kind::parameters);
    layer.calls = 0;
    set_params(layer, node);
    layers.push_back(layer);
    if (extra_nodes != nullptr) extra_nodes->push_back(static_cast<std::int32_t>(i));
  }
  return layers;
}

py::tuple Tracer::totals(const std::string &rules) {
  const std::vector<Layer> layers = layers_with_params(nullptr);
  const CostSums sums = count_totals(layers, rules_of(rules));
  py::tuple values(metric_count);
  for (std::size_t metric = 0; metric < metric_count; ++metric)
    values[metric] = to_python(sums[metric]);
  return values;
}

py::dict Tracer::finish() {
  std::vector<std::int32_t> record_nodes = record_nodes_;
  const std::vector<Layer> layers = layers_with_params(&record_nodes);
  py::array_t<Layer> records(static_cast<py::ssize_t>(layers.size()));
  std::copy(layers.begin(), layers.end(), records.mutable_data());

  py::list inputs, outputs, ops;
  const Dims no_shape = [] {
    Dims dims;
    for (int i = 0; i < 4; ++i) dims.push(0);
    return dims;
  }();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool ran = i < recording_.size();
    inputs.append(py::reinterpret_steal<py::object>(
        to_tuple(ran ? recording_.input_dims(i) : no_shape).release()));
    outputs.append(py::reinterpret_steal<py::object>(
        to_tuple(ran ? recording_.output_dims(i) : no_shape).release()));
    if (ran)
      ops.append(py::reinterpret_borrow<py::object>(ops_[i]));
    else
      ops.append(py::str(op_table()[layers[i].kind].name));
  }
  py::list nodes;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Node &node = nodes_[i];
    nodes.append(py::make_tuple(
        node.name == nullptr ? py::object(py::str(""))
                             : py::reinterpret_borrow<py::object>(node.name),
        py::str(Py_TYPE(node.module)->tp_name), node.parent, node.height, node.leaf, node.calls));
  }
  const auto &starts = recording_.source_starts();
  std::vector<std::int64_t> all_starts(starts);
  all_starts.resize(layers.size() + 1, starts.back());
  py::dict data;
  data["records"] = records;
  data["record_nodes"] =
      py::array_t<std::int32_t>(static_cast<py::ssize_t>(record_nodes.size()), record_nodes.data());
  const auto &sources = recording_.sources();
  const auto n_sources = static_cast<py::ssize_t>(sources.size());
  py::array_t<std::int32_t> producers(n_sources), input_numbers(n_sources);
  py::array_t<bool> viewed(n_sources);
  for (py::ssize_t i = 0; i < n_sources; ++i) {
    const Source &source = sources[static_cast<std::size_t>(i)];
    producers.mutable_at(i) = source.producer;
    input_numbers.mutable_at(i) = source.input;
    viewed.mutable_at(i) = source.viewed;
  }
  data["producers"] = producers;
  data["input_numbers"] = input_numbers;
  data["viewed"] = viewed;
  data["producer_starts"] =
      py::array_t<std::int64_t>(static_cast<py::ssize_t>(all_starts.size()), all_starts.data());
  data["input_shapes"] = inputs;
  data["output_shapes"] = outputs;
  data["ops"] = ops;
  data["nodes"] = nodes;
  return data;
}

} // namespace bopscount::bindings
