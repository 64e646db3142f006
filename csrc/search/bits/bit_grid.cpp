#include "search/bits/bit_grid.hpp"

#include "core/count.hpp"

namespace bopscount {
namespace {

/// Return the costs of a record, all `BitGrid::overflow` if one does not fit.
Costs costs_of(const Layer &layer, Rules rules) {
  Costs costs;
  try {
    layer_costs({&layer, 1}, rules, {&costs, 1});
  } catch (const LayerOverflow &) {
    costs.fill(BitGrid::overflow);
  }
  return costs;
}

} // namespace

std::vector<BitGrid> tabulate(const Layer &layer, Rules rules, Varied varied,
                              std::span<const Metric> metrics) {
  std::vector<BitGrid> grids(metrics.size(), BitGrid(varied));
  if (metrics.empty()) return grids;
  Layer changed = layer;
  for (std::size_t weight = 1; weight <= grids[0].n_weight_bits; ++weight) {
    for (std::size_t input = 1; input <= grids[0].n_input_bits; ++input) {
      if (varied.weight) {
        changed.weight_bits = static_cast<std::uint8_t>(weight);
        changed.weight_bits_source = BitSource::user;
      }
      if (varied.input) {
        changed.input_bits = static_cast<std::uint8_t>(input);
        changed.input_bits_source = BitSource::user;
      }
      const Costs costs = costs_of(changed, rules);
      for (std::size_t i = 0; i < metrics.size(); ++i)
        grids[i].cells[grids[i].index(weight, input)] = costs[static_cast<std::size_t>(metrics[i])];
    }
  }
  return grids;
}

} // namespace bopscount
