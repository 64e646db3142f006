/// Costs as sums of products: a function of the weight bits times one of the input bits.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/exact.hpp"
#include "search/bits/bit_grid.hpp"

namespace bopscount {

/// What one operand's width contributes to a product.
enum class Factor : std::uint8_t {
  one,      ///< 1, whatever the width
  bits,     ///< the width
  low,      ///< 1 up to max_low_bits, else 0
  low_bits, ///< the width up to max_low_bits, else 0
  binary,   ///< 1 for one bit, else 0
};

/// The largest value of a factor.
constexpr int max_value(Factor factor) {
  if (factor == Factor::bits) return static_cast<int>(max_bits);
  return factor == Factor::low_bits ? max_low_bits : 1;
}

struct BitTerm {
  Factor weight;
  Factor input;

  friend constexpr bool operator==(const BitTerm &, const BitTerm &) = default;
};

/// The products that a cost may be made of. Every cost without rounding is bilinear in the
/// two widths among low-bit layers, bilinear among the others, and 1 x 1 bit is for itself.
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

  Int128 at(std::size_t weight_bits, std::size_t input_bits) const;
};

/// The polynomial that equals the grid in every cell, if there is one: where a cost is rounded
/// to whole bytes layer by layer, or has an overflow, there is none.
std::optional<BitPolynomial> fit(const BitGrid &grid);

} // namespace bopscount
