#include "search/bits/bit_terms.hpp"

namespace bopscount {
namespace {

Int128 value(Factor factor, std::size_t bits) {
  switch (factor) {
  case Factor::one: return 1;
  case Factor::bits: return static_cast<Int128>(bits);
  case Factor::low: return bits <= max_low_bits ? 1 : 0;
  case Factor::low_bits: return bits <= max_low_bits ? static_cast<Int128>(bits) : 0;
  case Factor::binary: return bits == 1 ? 1 : 0;
  }
  return 0;
}

/// one + w * weight bits + a * input bits + wa * weight bits * input bits.
struct Bilinear {
  Int128 one, w, a, wa;

  Int128 at(Int128 weight_bits, Int128 input_bits) const {
    return one + w * weight_bits + a * input_bits + wa * weight_bits * input_bits;
  }
};

/// Return the function through the cells at (first, first) and one bit further. Slopes along an
/// operand of fixed bit width are 0.
Bilinear through_corner(const BitGrid &grid, std::size_t first) {
  const bool weight = grid.n_weight_bits > 1, input = grid.n_input_bits > 1;
  const std::size_t w = weight ? first : 1, a = input ? first : 1;
  const Int128 corner = grid.at(w, a);
  const Int128 next_weight = weight ? grid.at(w + 1, a) : corner;
  const Int128 next_input = input ? grid.at(w, a + 1) : corner;
  const Int128 both = weight && input ? grid.at(w + 1, a + 1) : next_weight + next_input - corner;
  Bilinear plane{};
  plane.wa = both - next_weight - next_input + corner;
  plane.w = next_weight - corner - plane.wa * static_cast<Int128>(a);
  plane.a = next_input - corner - plane.wa * static_cast<Int128>(w);
  plane.one = corner - (plane.at(static_cast<Int128>(w), static_cast<Int128>(a)) - plane.one);
  return plane;
}

} // namespace

Int128 BitPolynomial::at(std::size_t weight_bits, std::size_t input_bits) const {
  Int128 sum = constant;
  for (std::size_t i = 0; i < bit_terms.size(); ++i)
    sum += coefficients[i] * value(bit_terms[i].weight, weight_bits) *
           value(bit_terms[i].input, input_bits);
  return sum;
}

std::optional<BitPolynomial> fit(const BitGrid &grid) {
  if (grid.cells.size() == 1) {
    if (grid.cells[0] == BitGrid::overflow) return std::nullopt;
    return BitPolynomial{grid.cells[0], {}};
  }
  // From 2 bits on, because 1 x 1 bit may be special.
  const Bilinear low = through_corner(grid, 2);
  const Bilinear wide = through_corner(grid, max_low_bits + 1);
  const BitPolynomial polynomial{wide.one,
                                 {wide.w, wide.a, wide.wa, low.one - wide.one, low.w - wide.w,
                                  low.a - wide.a, low.wa - wide.wa, grid.at(1, 1) - low.at(1, 1)}};
  for (std::size_t w = 1; w <= grid.n_weight_bits; ++w) {
    for (std::size_t a = 1; a <= grid.n_input_bits; ++a) {
      const std::int64_t cell = grid.at(w, a);
      if (cell == BitGrid::overflow || polynomial.at(w, a) != cell) return std::nullopt;
    }
  }
  return polynomial;
}

} // namespace bopscount
