#include "search/bits/bit_sum.hpp"

#include <algorithm>
#include <utility>

namespace bopscount {

BitSum::BitSum(std::size_t n_columns, unsigned shift)
    : shift_(shift), coefficients_(n_columns, Coefficients{}) {}

void BitSum::add_constant(Int128 value) {
  constant_ += value;
  bound_ += value;
}

void BitSum::add(BitGrid grid, std::vector<Share> shares) {
  const Int128 largest = std::max<Int128>(0, std::ranges::max(grid.cells));
  for (const Share &share : shares) bound_ += largest * share.scale;
  const auto polynomial = fit(grid);
  if (!polynomial) {
    tables_.push_back({std::move(grid), std::move(shares)});
    return;
  }
  for (const Share &share : shares) {
    constant_ += polynomial->constant * share.scale;
    Coefficients &sums = coefficients_[share.column];
    for (std::size_t term = 0; term < bit_terms.size(); ++term)
      sums[term] += polynomial->coefficients[term] * share.scale;
  }
}

void BitSum::finish() {
  always_fits_ = bound_ <= INT64_MAX;
  if (!always_fits_) return;
  // If the sum fits into 64 bits, its parts may be computed modulo 2^64.
  std::vector<std::int64_t> by_column(coefficients_.size());
  for (std::size_t term = 0; term < bit_terms.size(); ++term) {
    std::ranges::transform(coefficients_, by_column.begin(), [&](const Coefficients &of_column) {
      return static_cast<std::int64_t>(of_column[term]);
    });
    for (BitDigits &pass : cut_into_digits(bit_terms[term], by_column))
      passes_.push_back(std::move(pass));
  }
}

bool BitSum::start_rows(BitRows weights, BitRows inputs, std::span<std::uint64_t> sums,
                        Instructions instructions) const {
  std::ranges::fill(sums, static_cast<std::uint64_t>(constant_));
  bool in_range = !passes_.empty();
  for (const BitDigits &pass : passes_)
    in_range = add_products(pass, weights, inputs, sums, instructions) && in_range;
  return in_range;
}

void BitSum::finish_rows(BitRows weights, BitRows inputs, std::span<std::uint64_t> sums) const {
  for (const Table &table : tables_) {
    for (const Share &share : table.shares) {
      for (std::size_t row = 0; row < sums.size(); ++row) {
        const std::int64_t cell =
            table.grid.at(weights.row(row)[share.column], inputs.row(row)[share.column]);
        if (cell == BitGrid::overflow) [[unlikely]]
          throw CellOverflow{row, share.column};
        sums[row] += static_cast<std::uint64_t>(cell) * static_cast<std::uint64_t>(share.scale);
      }
    }
  }
  if (shift_ == 0) return;
  const std::uint64_t round_up = (std::uint64_t{1} << shift_) - 1;
  for (std::uint64_t &sum : sums) sum = (sum + round_up) >> shift_;
}

Int128 BitSum::count_wide(BitRows weights, BitRows inputs) const {
  const std::uint8_t *w = weights.row(0), *a = inputs.row(0);
  Int128 sum = constant_;
  for (std::size_t column = 0; column < coefficients_.size(); ++column)
    sum += BitPolynomial{0, coefficients_[column]}.at(w[column], a[column]);
  for (const Table &table : tables_) {
    for (const Share &share : table.shares) {
      const std::int64_t cell = table.grid.at(w[share.column], a[share.column]);
      if (cell == BitGrid::overflow) throw CellOverflow{0, share.column};
      sum += static_cast<Int128>(cell) * share.scale;
    }
  }
  return (sum + ((Int128{1} << shift_) - 1)) >> shift_;
}

} // namespace bopscount
