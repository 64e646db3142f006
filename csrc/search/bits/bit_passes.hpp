/// Parts of the inner loops of `add_products` that all instruction sets share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "search/bits/bit_products.hpp"

namespace bopscount {

/// Instance of `add_products` for one term and one instruction set.
using BitPass = bool (*)(const BitDigits &, BitRows, BitRows, std::span<std::uint64_t>);

/// Return the AVX-512 loop for a term, null on other architectures. Call it only if
/// `has(Instructions::avx512)`.
BitPass avx512_pass_of(BitTerm term);

/// Bits of a digit, without its sign.
inline constexpr unsigned digit_bits = 14;
inline constexpr int max_digit = (1 << digit_bits) - 1;

/// Return the number of steps whose products fit into a 32-bit sum.
constexpr std::size_t steps_a_sum(Factor weight, Factor input) {
  const std::size_t largest =
      column_step * static_cast<std::size_t>(max_digit * max_value(weight) * max_value(input));
  return static_cast<std::size_t>(INT32_MAX) / largest;
}

static_assert(max_bits == 64, "a width less 1 has no bit above the lowest six");

/// Return the value of a factor at a bit width.
template <Factor factor> constexpr int value(std::uint8_t bits) {
  if constexpr (factor == Factor::bits) return bits;
  if constexpr (factor == Factor::low) return bits <= max_low_bits ? 1 : 0;
  if constexpr (factor == Factor::low_bits) return bits <= max_low_bits ? bits : 0;
  if constexpr (factor == Factor::binary) return bits == 1 ? 1 : 0;
  return 1;
}

/// Return the result of `of`, a template over terms, for `term`.
template <class Of> BitPass find_pass(BitTerm term, Of of) {
  BitPass found = nullptr;
  [&]<std::size_t... index>(std::index_sequence<index...>) {
    ((bit_terms[index] == term ? void(found = of.template operator()<bit_terms[index]>()) : void()),
     ...);
  }(std::make_index_sequence<bit_terms.size()>{});
  return found;
}

} // namespace bopscount
