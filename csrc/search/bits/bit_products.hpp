/// Inner loop of a bit-width search: sums over layers of coefficient x f(weight bits) x
/// g(input bits), for rows of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "search/bits/bit_terms.hpp"

namespace bopscount {

/// Columns per group of digits; a group is processed at a time (by AVX-512, two groups).
inline constexpr std::size_t column_step = 32;

/// Return n rounded up to a multiple of `step`.
constexpr std::size_t padded(std::size_t n, std::size_t step = column_step) {
  return (n + step - 1) / step * step;
}

/// Rows of bit widths, readable up to `n_columns_read`; bytes after the last column count for
/// nothing.
struct BitRows {
  const std::uint8_t *first; ///< row 0
  std::ptrdiff_t stride;     ///< bytes from a row to the next

  /// Return the bit widths of a row.
  const std::uint8_t *row(std::size_t index) const {
    return first + static_cast<std::ptrdiff_t>(index) * stride;
  }
  /// Return the rows from `index` on.
  BitRows from(std::size_t index) const { return {row(index), stride}; }
};

/// Two 14-bit digits of the coefficients of one term.
struct BitDigits {
  BitTerm term;
  unsigned shift;        ///< the lower digits are multiples of 2^shift
  std::size_t n_columns; ///< columns without padding
  /// Signed digits: for each `column_step` columns the lower ones, then the higher ones.
  std::vector<std::int16_t> digits;
};

/// Cut coefficients into as many pairs of digits as the largest one needs, none if all are 0.
/// Exact modulo 2^64.
std::vector<BitDigits> cut_into_digits(BitTerm term, std::span<const std::int64_t> coefficients);

/// Instruction set to use; all give the same results.
enum class Instructions : std::uint8_t { portable, avx2, avx512 };

/// Return whether this processor has the instructions.
bool has(Instructions instructions);

/// Return the fastest instructions that this processor has.
Instructions best_instructions();

/// Return the number of columns of a row that the instructions read.
std::size_t n_columns_read(std::size_t n_columns, Instructions instructions);

/// Add the value of `pass` for row i of `weights` and `inputs` to sums[i], modulo 2^64.
/// Return false if a byte that was read is out of range, even after the last column.
bool add_products(const BitDigits &pass, BitRows weights, BitRows inputs,
                  std::span<std::uint64_t> sums, Instructions instructions);

} // namespace bopscount
