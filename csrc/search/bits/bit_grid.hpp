/// Costs of one layer at each pair of bit widths, from the evaluator.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/layer.hpp"
#include "core/metrics.hpp"
#include "core/rules.hpp"

namespace bopscount {

/// Operands that take their bit width from a candidate; the others keep theirs.
struct Varied {
  bool weight;
  bool input;
};

/// Costs indexed by (weight bits, input bits). An operand of fixed bit width has an extent of 1
/// and the index "1 bit" for any width.
struct BitGrid {
  /// Marker of a cost over 2^63 - 1, which a record of costs cannot hold.
  static constexpr std::int64_t overflow = -1;

  std::size_t n_weight_bits; ///< `max_bits`, or 1 for a fixed width
  std::size_t n_input_bits;  ///< `max_bits`, or 1 for a fixed width
  /// Costs; the one for weight bits w and input bits a is at (w - 1) * n_input_bits + a - 1.
  std::vector<std::int64_t> cells;

  explicit BitGrid(Varied varied)
      : n_weight_bits(varied.weight ? max_bits : 1), n_input_bits(varied.input ? max_bits : 1),
        cells(n_weight_bits * n_input_bits) {}

  /// Return the index of a cell.
  std::size_t index(std::size_t weight_bits, std::size_t input_bits) const {
    return (weight_bits - 1) * n_input_bits + input_bits - 1;
  }
  /// Return the cost at a pair of bit widths.
  std::int64_t at(std::size_t weight_bits, std::size_t input_bits) const {
    return cells[index(weight_bits, input_bits)];
  }
};

/// Return the grids of `metrics` for a layer; varied widths count as given by the user
/// (`BitSource::user`). Throws LayerError for a record that cannot be counted.
std::vector<BitGrid> tabulate(const Layer &layer, Rules rules, Varied varied,
                              std::span<const Metric> metrics);

} // namespace bopscount
