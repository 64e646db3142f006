// Inner loop for AVX-512: 64 columns of four rows at a time.
#include <algorithm>
#include <array>

#include "search/bits/bit_passes.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
// GCC 12 warns about undefined operands of its own intrinsics.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#endif

namespace bopscount {

#if defined(__x86_64__)
namespace {

#define BOPSCOUNT_AVX512 [[gnu::target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]]

/// Rows processed together, so that their sums form one vector and each digit is read once.
constexpr std::size_t n_together = 4;
struct Vectors {
  __m512i of_row[n_together];
};
constexpr std::size_t n_at_once = sizeof(__m512i); ///< columns per step
static_assert(n_at_once == 2 * column_step && steps_a_sum(Factor::bits, Factor::bits) >= 1);

/// Return a factor of each bit width, indexed by the width's lowest six bits.
template <Factor factor> constexpr std::array<std::uint8_t, max_bits> values_of_widths() {
  std::array<std::uint8_t, max_bits> values{};
  for (std::size_t bits = 1; bits <= max_bits; ++bits)
    values[bits % max_bits] =
        static_cast<std::uint8_t>(value<factor>(static_cast<std::uint8_t>(bits)));
  return values;
}

/// Return the factors of 64 bit widths, as bytes.
template <Factor factor> BOPSCOUNT_AVX512 inline __m512i values(__m512i bits) {
  if constexpr (factor == Factor::bits) return bits;
  if constexpr (factor == Factor::one) return _mm512_set1_epi8(1);
  alignas(64) static constexpr auto table = values_of_widths<factor>();
  return _mm512_permutexvar_epi8(bits, _mm512_load_si512(table.data()));
}

/// Return alternating lanes of two vectors, each the sum of two non-adjacent lanes.
BOPSCOUNT_AVX512 inline __m512i add_pairs(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

/// Return the sums of four vectors' halves, each of products of `column_step` columns, as 64 bits.
BOPSCOUNT_AVX512 inline __m512i sum_halves(const Vectors &rows) {
  const __m512i first = add_pairs(rows.of_row[0], rows.of_row[1]),
                second = add_pairs(rows.of_row[2], rows.of_row[3]);
  const __m512i quarters =
      _mm512_add_epi32(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second));
  return _mm512_cvtepi32_epi64(
      _mm256_add_epi32(_mm512_castsi512_si256(quarters), _mm512_extracti64x4_epi64(quarters, 1)));
}

/// Return the even or the odd digits of 64 columns, whose first group starts at `digits`; 16-bit
/// lanes of two widths split in the same way.
template <int parity> BOPSCOUNT_AVX512 inline __m512i every_second(const std::int16_t *digits) {
  const __m512i first = _mm512_loadu_si512(digits);
  const __m512i second = _mm512_loadu_si512(digits + 2 * column_step);
  alignas(64) static constexpr auto lanes = [] {
    std::array<std::int16_t, 32> numbers{};
    for (std::size_t i = 0; i < 32; ++i) numbers[i] = static_cast<std::int16_t>(2 * i + parity);
    return numbers;
  }();
  return _mm512_permutex2var_epi16(first, _mm512_load_si512(lanes.data()), second);
}

/// Add the products of some columns to `sums`. Return false if a bit width is out of range.
//
// No faster: software prefetch at any distance, non-temporal stores.
// Slower: 32-bit sums over several steps, which read the digits again for every four rows.
template <BitTerm term>
BOPSCOUNT_AVX512 bool add_step(const std::int16_t *digits, __mmask64 columns, unsigned shift,
                               BitRows weights, BitRows inputs, std::span<std::uint64_t> sums) {
  const __m512i low_even = every_second<0>(digits), low_odd = every_second<1>(digits);
  const __m512i high_even = every_second<0>(digits + column_step);
  const __m512i high_odd = every_second<1>(digits + column_step);
  const __m512i ones = _mm512_set1_epi8(1), even = _mm512_set1_epi16(0xff);
  const __m128i low_shift = _mm_cvtsi32_si128(static_cast<int>(shift));
  const __m128i high_shift = _mm_cvtsi32_si128(static_cast<int>(shift + digit_bits));
  __m512i any_bit = _mm512_setzero_si512();
  for (std::size_t row = 0; row < sums.size(); row += n_together) {
    const std::size_t last = std::min(n_together, sums.size() - row) - 1;
    const std::uint8_t *w = weights.row(row), *a = inputs.row(row);
    Vectors low, high;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < n_together; ++i) {
      const __m512i weight_bits = _mm512_maskz_loadu_epi8(columns, w);
      const __m512i input_bits = _mm512_maskz_loadu_epi8(columns, a);
      any_bit =
          _mm512_ternarylogic_epi64(any_bit, _mm512_maskz_sub_epi8(columns, weight_bits, ones),
                                    _mm512_maskz_sub_epi8(columns, input_bits, ones), 0xfe);
      const __m512i left = values<term.weight>(weight_bits);
      const __m512i right = values<term.input>(input_bits);
      const __m512i evens = _mm512_maddubs_epi16(left, _mm512_and_si512(even, right));
      const __m512i odds = _mm512_maddubs_epi16(left, _mm512_andnot_si512(even, right));
      low.of_row[i] = _mm512_dpwssd_epi32(_mm512_madd_epi16(evens, low_even), odds, low_odd);
      high.of_row[i] = _mm512_dpwssd_epi32(_mm512_madd_epi16(evens, high_even), odds, high_odd);
      if (i >= last) continue; // repeat the last row in place of missing ones
      w += weights.stride;
      a += inputs.stride;
    }
    const __m512i halves = _mm512_add_epi64(_mm512_sll_epi64(sum_halves(low), low_shift),
                                            _mm512_sll_epi64(sum_halves(high), high_shift));
    const __m256i both =
        _mm256_add_epi64(_mm512_castsi512_si256(halves), _mm512_extracti64x4_epi64(halves, 1));
    const auto rows = static_cast<__mmask8>((2u << last) - 1);
    std::uint64_t *to = sums.data() + row;
    _mm256_mask_storeu_epi64(to, rows, _mm256_add_epi64(_mm256_maskz_loadu_epi64(rows, to), both));
  }
  return _mm512_test_epi8_mask(any_bit, _mm512_set1_epi8(static_cast<char>(~(max_bits - 1)))) == 0;
}

template <BitTerm term>
bool avx512_pass(const BitDigits &pass, BitRows weights, BitRows inputs,
                 std::span<std::uint64_t> sums) {
  bool in_range = true;
  for (std::size_t column = 0; column < pass.n_columns; column += n_at_once) {
    const std::size_t n_left = std::min(pass.n_columns - column, n_at_once);
    const __mmask64 columns = ~__mmask64{0} >> (n_at_once - n_left);
    const BitRows of_weights{weights.first + column, weights.stride};
    const BitRows of_inputs{inputs.first + column, inputs.stride};
    in_range = add_step<term>(pass.digits.data() + 2 * column, columns, pass.shift, of_weights,
                              of_inputs, sums) &&
               in_range;
  }
  return in_range;
}

} // namespace

BitPass avx512_pass_of(BitTerm term) {
  return find_pass(term, []<BitTerm of>() -> BitPass { return &avx512_pass<of>; });
}
#else
BitPass avx512_pass_of(BitTerm) { return nullptr; }
#endif

} // namespace bopscount
