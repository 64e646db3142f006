/// The inner loop of a bit-width search: sums over layers of coefficient x f(weight bits) x
/// g(input bits), for rows of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "search/bits/bit_terms.hpp"

namespace bopscount {

/// Digits stand in groups of so many columns, which are taken at a time (by AVX-512, two of them).
inline constexpr std::size_t column_step = 32;

constexpr std::size_t padded(std::size_t n, std::size_t step = column_step) {
  return (n + step - 1) / step * step;
}

/// Rows of widths, to be readable up to `n_columns_read`; what stands there after the last column
/// counts for nothing.
struct BitRows {
  const std::uint8_t *first;
  std::ptrdiff_t stride;

  const std::uint8_t *row(std::size_t index) const {
    return first + static_cast<std::ptrdiff_t>(index) * stride;
  }
  BitRows from(std::size_t index) const { return {row(index), stride}; }
};

/// Two 14-bit digits of the coefficients of one term, and what they are multiples of.
struct BitDigits {
  BitTerm term;
  unsigned shift;
  std::size_t n_columns;
  /// For each `column_step` columns the lower digits, then the higher ones; signed.
  std::vector<std::int16_t> digits;
};

/// The coefficients cut into as many pairs of digits as the largest one needs; nothing if all
/// are 0. Exact modulo 2^64.
std::vector<BitDigits> cut_into_digits(BitTerm term, std::span<const std::int64_t> coefficients);

/// Which instructions to use; the results are the same.
enum class Instructions : std::uint8_t { portable, avx2, avx512 };

/// Whether this processor has them.
bool has(Instructions instructions);

/// The best that this processor has.
Instructions best_instructions();

/// How many columns of a row they read.
std::size_t n_columns_read(std::size_t n_columns, Instructions instructions);

/// Adds to sums[i], modulo 2^64, what `pass` comes to for row i of `weights` and `inputs`.
/// False if some byte that was read is no width, be it after the last column.
bool add_products(const BitDigits &pass, BitRows weights, BitRows inputs,
                  std::span<std::uint64_t> sums, Instructions instructions);

} // namespace bopscount
