/// Costs of very many candidates, one row of bit widths each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/layer.hpp"
#include "core/metrics.hpp"
#include "core/rules.hpp"
#include "search/bits/bit_sum.hpp"

namespace bopscount {

/// Bytes in memory: an array of any strides, or one row for all candidates (row stride 0).
struct BitMatrix {
  const std::uint8_t *first;    ///< element (0, 0)
  std::ptrdiff_t row_stride;    ///< bytes
  std::ptrdiff_t column_stride; ///< bytes
};

/// Bit widths, one row per candidate and one column per layer (or group of layers).
struct BitCandidates {
  std::size_t n_rows;
  BitMatrix weights;
  BitMatrix inputs;
};

/// Bit width outside 1 to `max_bits`.
struct BadBits {
  bool of_weight; ///< true for a weight, false for an input
  std::size_t candidate, column;
  int value; ///< the bit width
};
/// Layer's cost over 2^63 - 1.
struct LayerCostOverflow {
  std::size_t candidate, column;
};
/// Sum over 2^63 - 1.
struct SumOverflow {
  std::size_t candidate, sum;
};

/// Sums of costs at very many assignments of bit widths.
class BitSearch {
public:
  BitSearch(std::size_t n_columns, Varied varied, Instructions instructions = best_instructions());

  std::size_t n_columns() const { return n_columns_; }
  Varied varied() const { return varied_; }
  std::size_t n_sums() const { return sums_.size(); }

  /// Append a sum; `finish` it before counting.
  BitSum &add_sum(unsigned shift = 0);
  /// Append one sum per metric: the total over `layers`. Layer i takes its bit widths from
  /// columns[i], or keeps them if that is -1. Throws LayerError or LayerOverflow.
  void add_layers(std::span<const Layer> layers, std::span<const std::int32_t> columns, Rules rules,
                  std::span<const Metric> metrics);

  /// Return the number of candidates per block of a thread.
  // Longer blocks are read faster, as long as there are enough of them for all threads.
  std::size_t block_size(std::size_t n_candidates) const {
    const std::size_t n_tiles = n_candidates / tile_size_ / enough_blocks;
    return tile_size_ * std::clamp(n_tiles, min_tiles_a_block, max_tiles_a_block);
  }
  /// Write sum i of candidate j, in [begin, end), to values[i][j]. Throws BadBits,
  /// LayerCostOverflow or SumOverflow.
  void count(const BitCandidates &candidates, std::size_t begin, std::size_t end,
             std::span<std::int64_t *const> values) const;
  /// Write sums of any size, in two 64-bit halves, to high[i][j - origin] and low[i][j - origin].
  /// Throws BadBits or LayerCostOverflow.
  void count_wide(const BitCandidates &candidates, std::size_t begin, std::size_t end,
                  std::size_t origin, std::span<std::int64_t *const> high,
                  std::span<std::uint64_t *const> low) const;

private:
  static constexpr std::size_t enough_blocks = 32;
  static constexpr std::size_t min_tiles_a_block = 16, max_tiles_a_block = 128;

  template <class CountTile>
  void for_each_tile(const BitCandidates &candidates, std::size_t begin, std::size_t end,
                     CountTile count_tile) const;

  std::size_t n_columns_;
  std::size_t tile_size_; ///< number of rows whose bit widths fit into the first-level cache
  Varied varied_;
  Instructions instructions_;
  std::vector<BitSum> sums_;
};

} // namespace bopscount
