/// Costs as sums of products of a function of the weight bits and one of the input bits.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/exact.hpp"
#include "search/bits/bit_grid.hpp"

namespace bopscount {

/// Function of one operand's bit width, as a factor of a product.
enum class Factor : std::uint8_t {
  one,      ///< 1 for all bit widths
  bits,     ///< the bit width
  low,      ///< 1 up to max_low_bits, else 0
  low_bits, ///< the bit width up to max_low_bits, else 0
  binary,   ///< 1 for one bit, else 0
};

/// Return the largest value of a factor.
constexpr int max_value(Factor factor) {
  if (factor == Factor::bits) return static_cast<int>(max_bits);
  return factor == Factor::low_bits ? max_low_bits : 1;
}

/// Product of a factor of the weight bits and one of the input bits.
struct BitTerm {
  Factor weight;
  Factor input;

  friend constexpr bool operator==(const BitTerm &, const BitTerm &) = default;
};

/// Products that costs consist of. Every cost without rounding is bilinear in the two bit
/// widths among low-bit layers, bilinear among the others, and special at 1 x 1 bit.
inline constexpr std::array<BitTerm, 8> bit_terms = {{
    {Factor::bits, Factor::one},
    {Factor::one, Factor::bits},
    {Factor::bits, Factor::bits},
    {Factor::low, Factor::low},
    {Factor::low_bits, Factor::low},
    {Factor::low, Factor::low_bits},
    {Factor::low_bits, Factor::low_bits},
    {Factor::binary, Factor::binary},
}};

/// constant + the sum of coefficients[i] * bit_terms[i].
struct BitPolynomial {
  Int128 constant = 0;
  std::array<Int128, bit_terms.size()> coefficients{};

  /// Return the value at a pair of bit widths.
  Int128 at(std::size_t weight_bits, std::size_t input_bits) const;
};

/// Return the polynomial that equals the grid in every cell. There is none if a cost is rounded
/// to whole bytes by layer, or overflows.
std::optional<BitPolynomial> fit(const BitGrid &grid);

} // namespace bopscount
