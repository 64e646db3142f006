/// Metric of a bit-width search: a sum of layers' costs, which depend on bit widths.
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

/// Multiple of a grid's cost in a sum, at the bit widths of one column.
struct Share {
  std::size_t column; ///< index of the column
  std::int64_t scale; ///< factor of the cost
};

/// Candidate with a layer's cost over 2^63 - 1; `row` is relative to the given rows.
struct CellOverflow {
  std::size_t row, column;
};

/// (constant + the sum over columns of costs at the column's bit widths) / 2^shift, rounded up.
class BitSum {
public:
  BitSum(std::size_t n_columns, unsigned shift);

  /// Add a constant, before the division.
  void add_constant(Int128 value);
  /// Add scale x grid at the bit widths of its column, for each share.
  void add(BitGrid grid, std::vector<Share> shares);
  /// Prepare for counting; call it once, after the last `add`.
  void finish();

  /// Return whether no candidate's sum can exceed 2^63 - 1.
  bool always_fits() const { return always_fits_; }
  /// Start the sums of some candidates; requires `always_fits`. Return true if all bit widths
  /// were found to be in range; if false, check them before `finish_rows`.
  bool start_rows(BitRows weights, BitRows inputs, std::span<std::uint64_t> sums,
                  Instructions instructions) const;
  /// Finish the sums of some candidates. Throws CellOverflow.
  void finish_rows(BitRows weights, BitRows inputs, std::span<std::uint64_t> sums) const;
  /// Return the sum of one candidate, row 0, of any size. Throws CellOverflow.
  Int128 count_wide(BitRows weights, BitRows inputs) const;

private:
  /// Cost without a polynomial, cell by cell.
  struct Table {
    BitGrid grid;
    std::vector<Share> shares;
  };
  using Coefficients = std::array<Int128, bit_terms.size()>;

  unsigned shift_;
  bool always_fits_ = false;
  Int128 constant_ = 0, bound_ = 0;
  std::vector<Coefficients> coefficients_; ///< by column
  std::vector<BitDigits> passes_;
  std::vector<Table> tables_;
};

} // namespace bopscount
