/// What one layer costs at each pair of bit widths, from the evaluator.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/layer.hpp"
#include "core/metrics.hpp"
#include "core/rules.hpp"

namespace bopscount {

/// Which operands take their width from a candidate; the others keep theirs.
struct Varied {
  bool weight;
  bool input;
};

/// Costs indexed by (weight bits, input bits). An operand that keeps its width has an extent
/// of 1 and is asked for at "1 bit", whatever its width is.
struct BitGrid {
  /// A cost over 2^63 - 1, which a record of costs cannot hold.
  static constexpr std::int64_t overflow = -1;

  std::size_t n_weight_bits;
  std::size_t n_input_bits;
  /// Of weight bits w and input bits a at (w - 1) * n_input_bits + a - 1.
  std::vector<std::int64_t> cells;

  explicit BitGrid(Varied varied)
      : n_weight_bits(varied.weight ? max_bits : 1), n_input_bits(varied.input ? max_bits : 1),
        cells(n_weight_bits * n_input_bits) {}

  std::size_t index(std::size_t weight_bits, std::size_t input_bits) const {
    return (weight_bits - 1) * n_input_bits + input_bits - 1;
  }
  std::int64_t at(std::size_t weight_bits, std::size_t input_bits) const {
    return cells[index(weight_bits, input_bits)];
  }
};

/// The grids of `metrics` for a layer, each width being one that the user gave
/// (`BitSource::user`). Throws LayerError for a record that cannot be counted.
std::vector<BitGrid> tabulate(const Layer &layer, Rules rules, Varied varied,
                              std::span<const Metric> metrics);

} // namespace bopscount
