#include "count.hpp"

#include <array>
#include <utility>

#include "evaluate.hpp"
#include "op_table.hpp"

namespace bopscount {
namespace {

using Evaluator = void (*)(const Layer &, Costs &);
using EvaluatorTable = std::array<Evaluator, kind_count>;

template <class Int, Rules rules> constexpr EvaluatorTable make_evaluators() {
  return []<std::size_t... kind>(std::index_sequence<kind...>) {
    return EvaluatorTable{&evaluate<Int, kind, rules>...};
  }(std::make_index_sequence<kind_count>{});
}

/// One evaluator a kind, indexed by Rules.
template <class Int>
constexpr std::array<EvaluatorTable, 2> evaluators = {make_evaluators<Int, Rules::torchstat>(),
                                                      make_evaluators<Int, Rules::full>()};

/// True when no cost of the layer, nor anything on the way to one, can leave
/// 64 bits: every term is at most `bound`, and no metric is more than 2^10
/// times a sum of terms (low-bit products: 2^8; bits of traffic: 2^8 times 3).
bool fits_64_bits(const Layer &layer) {
  const double batch = static_cast<double>(layer.batch) + 1;
  const double channels =
      (static_cast<double>(layer.in_channels) + 1) * (static_cast<double>(layer.out_channels) + 1);
  const double positions =
      static_cast<double>(layer.in_positions) + static_cast<double>(layer.out_positions) + 1;
  // In double: three int32 factors may pass 64 bits.
  const double kernel = 1.0 + static_cast<double>(layer.kernel[0]) * layer.kernel[1] *
                                  static_cast<double>(layer.kernel[2]);
  const double operands = static_cast<double>(layer.weight_elements) * batch +
                          static_cast<double>(layer.bias_elements) +
                          static_cast<double>(layer.extra_elements);
  const double bound =
      (batch * channels * positions * kernel + operands) * (static_cast<double>(layer.calls) + 1);
  return bound < 0x1p51;
}

[[noreturn]] void refuse(const Layer &layer, std::size_t index) {
  const auto fail = [&](const std::string &what) { throw LayerError(index, what); };
  if (layer.kind == 0 || layer.kind >= kind_count)
    fail("kind must be 1 to " + std::to_string(kind_count - 1) + ", got " +
         std::to_string(layer.kind));
  const std::pair<const char *, std::int64_t> sizes[] = {
      {"calls", layer.calls},
      {"params", layer.params},
      {"logical_params", layer.logical_params},
      {"batch", layer.batch},
      {"in_channels", layer.in_channels},
      {"in_positions", layer.in_positions},
      {"out_channels", layer.out_channels},
      {"out_positions", layer.out_positions},
      {"weight_elements", layer.weight_elements},
      {"bias_elements", layer.bias_elements},
      {"extra_elements", layer.extra_elements},
      {"kernel[0]", layer.kernel[0]},
      {"kernel[1]", layer.kernel[1]},
      {"kernel[2]", layer.kernel[2]},
  };
  for (const auto &[name, value] : sizes) {
    if (value < 0) fail(std::string(name) + " must not be negative, got " + std::to_string(value));
  }
  if (layer.groups < 1) fail("groups must be at least 1, got " + std::to_string(layer.groups));
  throw LayerError(index, "in_channels and out_channels must be multiples of groups, got " +
                              std::to_string(layer.in_channels) + " and " +
                              std::to_string(layer.out_channels) + " by " +
                              std::to_string(layer.groups));
}

/// Throws LayerError unless every field is in its range.
void check(const Layer &layer, std::size_t index) {
  const std::int64_t any_sign = layer.calls | layer.params | layer.logical_params | layer.batch |
                                layer.in_channels | layer.in_positions | layer.out_channels |
                                layer.out_positions | layer.weight_elements | layer.bias_elements |
                                layer.extra_elements | layer.kernel[0] | layer.kernel[1] |
                                layer.kernel[2];
  const bool known = layer.kind != 0 && layer.kind < kind_count;
  if (any_sign < 0 || !known || layer.groups < 1) [[unlikely]]
    refuse(layer, index);
  if (layer.groups != 1 && (layer.in_channels % layer.groups != 0 ||
                            layer.out_channels % layer.groups != 0)) [[unlikely]]
    refuse(layer, index);
}

/// The layer again, on 128 bits; throws LayerOverflow where that is not enough.
[[gnu::noinline]] void count_wide(const Layer &layer, Rules rules, std::size_t index,
                                  Costs &costs) {
  try {
    evaluators<Wide>[static_cast<std::size_t>(rules)][layer.kind](layer, costs);
  } catch (const WideOverflow &) {
    throw LayerOverflow(index, "a cost is over 2**63 - 1");
  }
}

/// Calls sink(i, costs) for every layer, in order.
template <class Sink> void for_each_layer(std::span<const Layer> layers, Rules rules, Sink sink) {
  const EvaluatorTable &evaluator = evaluators<std::int64_t>[static_cast<std::size_t>(rules)];
  Costs costs;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer &layer = layers[i];
    check(layer, i);
    if (fits_64_bits(layer)) [[likely]]
      evaluator[layer.kind](layer, costs);
    else
      count_wide(layer, rules, i, costs);
    sink(i, costs);
  }
}

} // namespace

void count_layers(std::span<const Layer> layers, Rules rules, std::span<Costs> costs) {
  for_each_layer(layers, rules, [&](std::size_t i, const Costs &of_layer) { costs[i] = of_layer; });
}

CostSums count_totals(std::span<const Layer> layers, Rules rules) {
  CostSums sum;
  for_each_layer(layers, rules, [&](std::size_t, const Costs &of_layer) { sum.add(of_layer); });
  return sum;
}

void count_groups(std::span<const Layer> layers, std::span<const std::int32_t> groups, Rules rules,
                  std::span<CostSums> sums) {
  for_each_layer(layers, rules, [&](std::size_t i, const Costs &of_layer) {
    if (groups[i] >= 0) sums[static_cast<std::size_t>(groups[i])].add(of_layer);
  });
}

} // namespace bopscount
