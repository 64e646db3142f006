#include "search/bits/bit_search.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "core/count.hpp"

namespace bopscount {
namespace {

constexpr std::size_t tile_bytes = 16 * 1024; ///< bit widths of each operand in a tile
constexpr std::size_t max_tile = 128;

/// Rows of a matrix as `BitRows` of `width` bytes: in place if that many bytes may be read, else
/// as a copy.
class Tile {
public:
  Tile(const BitMatrix &matrix, std::size_t n_rows, std::size_t n_columns, std::size_t width)
      : matrix_(matrix), n_columns_(n_columns), width_(width) {
    if (matrix.column_stride != 1 && n_columns > 1) return;
    const std::ptrdiff_t last = static_cast<std::ptrdiff_t>(n_rows - 1) * matrix.row_stride;
    end_ = std::max<std::ptrdiff_t>(0, last) + static_cast<std::ptrdiff_t>(n_columns);
  }

  /// Return rows [begin, end), valid until the next call.
  BitRows rows(std::size_t begin, std::size_t end) {
    const bool one_row = matrix_.row_stride == 0;
    if (one_row && !copy_.empty()) return {copy_.data(), 0};
    const std::size_t n_rows = one_row ? 1 : end - begin;
    const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(begin) * matrix_.row_stride;
    const std::ptrdiff_t last =
        first + static_cast<std::ptrdiff_t>(n_rows - 1) * matrix_.row_stride;
    if (std::max(first, last) + static_cast<std::ptrdiff_t>(width_) <= end_)
      return {matrix_.first + first, matrix_.row_stride};
    copy_.resize(std::max(copy_.size(), n_rows * width_), 1);
    copy(matrix_.first + first, n_rows);
    return {copy_.data(), one_row ? 0 : static_cast<std::ptrdiff_t>(width_)};
  }

private:
  void copy(const std::uint8_t *from, std::size_t n_rows) {
    const auto row_stride = matrix_.row_stride, column_stride = matrix_.column_stride;
    const auto at = [&](std::size_t row, std::size_t column) {
      return from[static_cast<std::ptrdiff_t>(row) * row_stride +
                  static_cast<std::ptrdiff_t>(column) * column_stride];
    };
    if (std::abs(row_stride) < std::abs(column_stride)) {
      for (std::size_t column = 0; column < n_columns_; ++column)
        for (std::size_t row = 0; row < n_rows; ++row)
          copy_[row * width_ + column] = at(row, column);
    } else {
      for (std::size_t row = 0; row < n_rows; ++row)
        for (std::size_t column = 0; column < n_columns_; ++column)
          copy_[row * width_ + column] = at(row, column);
    }
  }

  BitMatrix matrix_;
  std::size_t n_columns_, width_;
  /// End of the matrix in bytes from its first element; the minimum if rows must be copied.
  std::ptrdiff_t end_ = PTRDIFF_MIN;
  std::vector<std::uint8_t> copy_;
};

/// Return whether every bit width is 1 to max_bits.
bool all_in_range(const std::uint8_t *widths, std::size_t n) {
  std::uint8_t any_bit = 0;
  for (std::size_t i = 0; i < n; ++i)
    any_bit = static_cast<std::uint8_t>(any_bit | static_cast<std::uint8_t>(widths[i] - 1));
  return any_bit < max_bits;
}
static_assert(max_bits == 64, "all_in_range looks at the bits above the lowest six");

/// Return whether every bit width of the rows is 1 to max_bits.
bool all_in_range(BitRows rows, std::size_t n_rows, std::size_t n_columns) {
  if (rows.stride == 0) return all_in_range(rows.first, n_columns);
  if (rows.stride == static_cast<std::ptrdiff_t>(n_columns))
    return all_in_range(rows.first, n_rows * n_columns);
  for (std::size_t row = 0; row < n_rows; ++row) {
    if (!all_in_range(rows.row(row), n_columns)) return false;
  }
  return true;
}

/// Throw BadBits for the first bit width out of range in rows [first, last).
void check_range(BitRows weights, BitRows inputs, std::size_t first, std::size_t last,
                 std::size_t n_columns) {
  if (all_in_range(weights, last - first, n_columns) &&
      all_in_range(inputs, last - first, n_columns))
    return;
  for (std::size_t row = 0;; ++row) {
    for (const bool of_weight : {true, false}) {
      const std::uint8_t *widths = (of_weight ? weights : inputs).row(row);
      for (std::size_t column = 0; column < n_columns; ++column) {
        if (!all_in_range(widths + column, 1))
          throw BadBits{of_weight, first + row, column, widths[column]};
      }
    }
  }
}

/// Return the layer without its owner, which does not affect the costs.
Layer without_owner(Layer layer) {
  layer.owner = 0;
  return layer;
}

struct BytesOrder {
  bool operator()(const Layer &left, const Layer &right) const {
    return std::memcmp(&left, &right, sizeof(Layer)) < 0;
  }
};

} // namespace

BitSearch::BitSearch(std::size_t n_columns, Varied varied, Instructions instructions)
    : n_columns_(n_columns),
      tile_size_(std::clamp<std::size_t>(tile_bytes / (padded(n_columns) + 1), 1, max_tile)),
      varied_(varied), instructions_(instructions) {}

BitSum &BitSearch::add_sum(unsigned shift) { return sums_.emplace_back(n_columns_, shift); }

void BitSearch::add_layers(std::span<const Layer> layers, std::span<const std::int32_t> columns,
                           Rules rules, std::span<const Metric> metrics) {
  std::vector<BitSum> sums(metrics.size(), BitSum(n_columns_, 0));
  // Networks repeat their layers, so equal ones are tabulated once.
  std::map<Layer, std::vector<Share>, BytesOrder> shares;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool varies = columns[i] >= 0;
    Costs costs{};
    try {
      layer_costs(layers.subspan(i, 1), rules, {&costs, 1});
    } catch (const LayerError &error) {
      throw LayerError(i, error.what());
    } catch (const LayerOverflow &error) {
      if (!varies) throw LayerOverflow(i, error.what());
    }
    if (varies) {
      shares[without_owner(layers[i])].push_back({static_cast<std::size_t>(columns[i]), 1});
      continue;
    }
    for (std::size_t metric = 0; metric < metrics.size(); ++metric)
      sums[metric].add_constant(costs[static_cast<std::size_t>(metrics[metric])]);
  }
  for (const auto &[layer, of_layer] : shares) {
    auto grids = tabulate(layer, rules, varied_, metrics);
    for (std::size_t metric = 0; metric < metrics.size(); ++metric)
      sums[metric].add(std::move(grids[metric]), of_layer);
  }
  for (BitSum &sum : sums) {
    sum.finish();
    sums_.push_back(std::move(sum));
  }
}

template <class CountTile>
void BitSearch::for_each_tile(const BitCandidates &candidates, std::size_t begin, std::size_t end,
                              CountTile count_tile) const {
  const std::size_t width = n_columns_read(n_columns_, instructions_);
  Tile weight_tile(candidates.weights, candidates.n_rows, n_columns_, width);
  Tile input_tile(candidates.inputs, candidates.n_rows, n_columns_, width);
  for (std::size_t first = begin; first < end; first += tile_size_) {
    const std::size_t last = std::min(end, first + tile_size_);
    const BitRows weights = weight_tile.rows(first, last), inputs = input_tile.rows(first, last);
    const auto check = [&] { check_range(weights, inputs, first, last, n_columns_); };
    try {
      count_tile(first, last, weights, inputs, check);
    } catch (const CellOverflow &overflow) {
      throw LayerCostOverflow{first + overflow.row, overflow.column};
    }
  }
}

void BitSearch::count(const BitCandidates &candidates, std::size_t begin, std::size_t end,
                      std::span<std::int64_t *const> values) const {
  for_each_tile(
      candidates, begin, end,
      [&](std::size_t first, std::size_t last, BitRows weights, BitRows inputs, auto check) {
        bool checked = false;
        for (std::size_t i = 0; i < sums_.size(); ++i) {
          std::int64_t *out = values[i] + first;
          // Intermediate sums wrap modulo 2^64; the results fit.
          const std::span tile(reinterpret_cast<std::uint64_t *>(out), last - first);
          const bool in_range =
              sums_[i].always_fits() && sums_[i].start_rows(weights, inputs, tile, instructions_);
          if (!checked && !in_range) check();
          checked = true;
          if (sums_[i].always_fits()) {
            sums_[i].finish_rows(weights, inputs, tile);
            continue;
          }
          for (std::size_t row = 0; row < tile.size(); ++row) {
            const Int128 sum = sums_[i].count_wide(weights.from(row), inputs.from(row));
            if (sum > INT64_MAX) throw SumOverflow{first + row, i};
            out[row] = static_cast<std::int64_t>(sum);
          }
        }
        if (!checked) check();
      });
}

void BitSearch::count_wide(const BitCandidates &candidates, std::size_t begin, std::size_t end,
                           std::size_t origin, std::span<std::int64_t *const> high,
                           std::span<std::uint64_t *const> low) const {
  for_each_tile(
      candidates, begin, end,
      [&](std::size_t first, std::size_t last, BitRows weights, BitRows inputs, auto check) {
        check();
        for (std::size_t i = 0; i < sums_.size(); ++i) {
          for (std::size_t row = 0; row < last - first; ++row) {
            const Int128 sum = sums_[i].count_wide(weights.from(row), inputs.from(row));
            high[i][first + row - origin] = static_cast<std::int64_t>(sum >> 64);
            low[i][first + row - origin] = static_cast<std::uint64_t>(sum);
          }
        }
      });
}

} // namespace bopscount
