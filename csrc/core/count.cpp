#include "core/count.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "core/metrics.hpp"
#include "core/op_rows.hpp"

namespace bopscount {
namespace {

using Evaluator = void (*)(const Layer &, Costs &);
using EvaluatorTable = std::array<Evaluator, kind_count>;

/// Op table row of a kind, as a type.
template <std::size_t kind> struct RowOf {
  static constexpr const OpKind &value = rows::table[kind];
};

/// `evaluate` on 64 bits with everything inlined, so that terms which several
/// columns share are computed once: 10 to 20 % less time per layer.
template <std::size_t kind, Rules rules, bool discount_zeros>
[[gnu::flatten]] void evaluate_narrow(const Layer &layer, Costs &costs) {
  evaluate<std::int64_t, RowOf<kind>, rules, discount_zeros>(layer, costs);
}

/// True for kinds whose zero weights save costs; the others share the dense evaluators.
template <std::size_t kind, bool discount_zeros>
constexpr bool discounts = discount_zeros && rows::table[kind].prunable();

template <class Int, Rules rules, bool discount_zeros> constexpr EvaluatorTable make_evaluators() {
  return []<std::size_t... kind>(std::index_sequence<kind...>) {
    if constexpr (std::is_same_v<Int, std::int64_t>)
      return EvaluatorTable{&evaluate_narrow<kind, rules, discounts<kind, discount_zeros>>...};
    else
      return EvaluatorTable{&evaluate<Int, RowOf<kind>, rules, discounts<kind, discount_zeros>>...};
  }(std::make_index_sequence<kind_count>{});
}

/// One evaluator per kind, for each of `Rules`.
template <class Int, bool discount_zeros>
constexpr std::array<EvaluatorTable, 2> evaluators = {
    make_evaluators<Int, Rules::torchstat, discount_zeros>(),
    make_evaluators<Int, Rules::full, discount_zeros>()};

/// Return whether all costs of the layer and their intermediate results fit into
/// 64 bits: every term is at most `bound`, and no metric is more than 2^10
/// times a sum of terms (low-bit products: 2^8; bits of traffic: 2^8 times 3).
bool fits_64_bits(const Layer &layer) {
  static_assert(max_low_bits * max_low_bits <= 1 << 8);
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

/// Throw a LayerError unless every field is in its range.
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

/// Throw a LayerError if a layer has more non-zero weights than weights.
void check_zeros(const Layer &layer, std::size_t index) {
  const bool prunable = layer.weight_elements > 0 && rows::table[layer.kind].prunable();
  if (prunable && layer.nonzero_weights > layer.weight_elements)
    throw LayerError(index, "nonzero_weights must be at most weight_elements (" +
                                std::to_string(layer.weight_elements) + "), got " +
                                std::to_string(layer.nonzero_weights));
}

/// Count the layer on 128 bits. Throws a LayerOverflow if a cost is over 2^63 - 1.
template <bool discount_zeros>
[[gnu::noinline]] void count_wide(const Layer &layer, Rules rules, std::size_t index,
                                  Costs &costs) {
  try {
    evaluators<Wide, discount_zeros>[static_cast<std::size_t>(rules)][layer.kind](layer, costs);
  } catch (const WideOverflow &) {
    throw LayerOverflow(index, "a cost is over 2**63 - 1");
  }
}

/// Distance of prefetches, in layers; the processor's own prefetcher stops at
/// the end of a page and at a mispredicted kind.
constexpr std::size_t prefetch_distance = 16;

/// Prefetch the record and the costs that far ahead. Addresses are integers: they
/// may be past the end, where a prefetch does nothing but a pointer may not be.
inline void prefetch(const Layer &layer, const Costs &costs) {
  constexpr std::uintptr_t line_bytes = 64;
  const auto record = reinterpret_cast<std::uintptr_t>(&layer) + prefetch_distance * sizeof(Layer);
  for (std::uintptr_t at = 0; at < sizeof(Layer); at += line_bytes)
    __builtin_prefetch(reinterpret_cast<const void *>(record + at));
  const auto output = reinterpret_cast<std::uintptr_t>(&costs) + prefetch_distance * sizeof(Costs);
  __builtin_prefetch(reinterpret_cast<const void *>(output), 1);
}

/// Write the costs of layers[first + i] to costs[i].
template <bool discount_zeros>
void count_range(LayerRow layers, std::size_t first, Rules rules, std::span<Costs> costs) {
  const EvaluatorTable &evaluator =
      evaluators<std::int64_t, discount_zeros>[static_cast<std::size_t>(rules)];
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const Layer &layer = layers[first + i];
    prefetch(layer, costs[i]);
    check(layer, first + i);
    if constexpr (discount_zeros) check_zeros(layer, first + i);
    if (fits_64_bits(layer)) [[likely]]
      evaluator[layer.kind](layer, costs[i]);
    else
      count_wide<discount_zeros>(layer, rules, first + i, costs[i]);
  }
}

void count_range(LayerRow layers, std::size_t first, Rules rules, bool discount_zeros,
                 std::span<Costs> costs) {
  if (discount_zeros)
    count_range<true>(layers, first, rules, costs);
  else
    count_range<false>(layers, first, rules, costs);
}

/// Layers whose costs are buffered before they are summed.
constexpr std::size_t block_size = 64;

/// Call sink(first, costs) for blocks of layers, in order; costs[i] belongs to
/// layers[first + i].
template <class Sink>
void for_each_block(LayerRow layers, Rules rules, bool discount_zeros, Sink sink) {
  std::array<Costs, block_size> buffer;
  for (std::size_t first = 0; first < layers.size(); first += block_size) {
    const auto costs = std::span(buffer).first(std::min(block_size, layers.size() - first));
    count_range(layers, first, rules, discount_zeros, costs);
    sink(first, std::span<const Costs>(costs));
  }
}

/// Add a block's costs to `sums`: on 64 bits, which vectorises, if all sums of
/// block_size costs fit into them.
void add_block(std::span<const Costs> block, CostSums &sums) {
  std::array<std::uint64_t, metric_count> block_sums{};
  std::uint64_t any_bit = 0;
  for (const Costs &costs : block) {
    for (std::size_t metric = 0; metric < metric_count; ++metric) {
      const auto cost = static_cast<std::uint64_t>(costs[metric]);
      block_sums[metric] += cost;
      any_bit |= cost;
    }
  }
  if (any_bit < INT64_MAX / block_size) [[likely]] {
    Costs narrow_sums;
    for (std::size_t metric = 0; metric < metric_count; ++metric)
      narrow_sums[metric] = static_cast<std::int64_t>(block_sums[metric]);
    sums.add(narrow_sums);
  } else {
    for (const Costs &costs : block) sums.add(costs);
  }
}

} // namespace

void layer_costs(std::span<const Layer> layers, Rules rules, std::span<Costs> costs,
                 bool discount_zeros) {
  count_range(layers, 0, rules, discount_zeros, costs);
}

CostSums count_totals(LayerRow layers, Rules rules, bool discount_zeros) {
  CostSums sums;
  for_each_block(layers, rules, discount_zeros,
                 [&](std::size_t, std::span<const Costs> block) { add_block(block, sums); });
  return sums;
}

void count_groups(std::span<const Layer> layers, std::span<const std::int32_t> groups, Rules rules,
                  std::span<CostSums> sums, bool discount_zeros) {
  for_each_block(layers, rules, discount_zeros,
                 [&](std::size_t first, std::span<const Costs> block) {
                   for (std::size_t i = 0; i < block.size(); ++i) {
                     const std::int32_t group = groups[first + i];
                     if (group >= 0) sums[static_cast<std::size_t>(group)].add(block[i]);
                   }
                 });
}

} // namespace bopscount
