/// One metric of a bit-width search: a sum over layers of costs that follow their widths.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/exact.hpp"
#include "search/bits/bit_grid.hpp"
#include "search/bits/bit_products.hpp"
#include "search/bits/bit_terms.hpp"

namespace bopscount {

/// How many times a grid's cost stands in a sum, for the widths of one column.
struct Share {
  std::size_t column;
  std::int64_t scale;
};

/// A candidate that meets a cost over 2^63 - 1; `row` is relative to the rows given.
struct CellOverflow {
  std::size_t row, column;
};

/// constant + the sum over columns of costs at the column's widths, over 2^shift, rounded up.
class BitSum {
public:
  BitSum(std::size_t n_columns, unsigned shift);

  void add_constant(Int128 value);
  /// Adds scale x grid at the widths of its column, for each share.
  void add(BitGrid grid, std::vector<Share> shares);
  /// To be called after the last of these.
  void finish();

  /// Whether no candidate's sum can pass 2^63 - 1.
  bool always_fits() const { return always_fits_; }
  /// Starts the sums of some candidates, if they always fit. True if that has shown every
  /// width to be in its range; else they must be looked at before `finish_rows`.
  bool start_rows(BitRows weights, BitRows inputs, std::span<std::uint64_t> sums,
                  Instructions instructions) const;
  /// Throws CellOverflow.
  void finish_rows(BitRows weights, BitRows inputs, std::span<std::uint64_t> sums) const;
  /// The sum of one candidate, row 0, whatever it is. Throws CellOverflow.
  Int128 count_wide(BitRows weights, BitRows inputs) const;

private:
  /// A cost that is no polynomial, cell by cell.
  struct Table {
    BitGrid grid;
    std::vector<Share> shares;
  };
  using Coefficients = std::array<Int128, bit_terms.size()>;

  unsigned shift_;
  bool always_fits_ = false;
  Int128 constant_ = 0, bound_ = 0;
  /// By column.
  std::vector<Coefficients> coefficients_;
  std::vector<BitDigits> passes_;
  std::vector<Table> tables_;
};

} // namespace bopscount
