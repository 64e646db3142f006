#include "tracer/results.hpp"

namespace bopscount::tracer {
namespace {

void set_params(Layer &layer, const Node &node) {
  layer.logical_params = node.logical_params < 0 ? node.params : node.logical_params;
  // Packed weights that torch does not list as parameters count as if it did.
  layer.params = node.params > 0 ? node.params : layer.logical_params;
}

} // namespace

Results results_of(const ModuleTree &tree, const Recorder &recorder) {
  Results results{recorder.recording().layers(), recorder.nodes()};
  const std::vector<Node> &nodes = tree.nodes();
  std::vector<bool> has_record(nodes.size(), false);
  for (std::size_t i = 0; i < results.layers.size(); ++i) {
    const auto at = static_cast<std::size_t>(results.nodes[i]);
    if (!nodes[at].leaf || has_record[at]) continue;
    has_record[at] = true;
    set_params(results.layers[i], nodes[at]);
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node &node = nodes[i];
    if (has_record[i] || (!node.leaf && node.params == 0)) continue;
    Layer layer;
    layer.kind = static_cast<std::uint16_t>(node.leaf ? Kind::uncalled : Kind::parameters);
    layer.calls = 0;
    set_params(layer, node);
    results.layers.push_back(layer);
    results.nodes.push_back(static_cast<std::int32_t>(i));
  }
  return results;
}

} // namespace bopscount::tracer
