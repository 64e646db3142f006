#include "search/bits/bit_products.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "search/bits/bit_passes.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bopscount {
namespace {

/// Return the combined sums of lower and higher digits, modulo 2^64.
inline std::uint64_t combine(std::int64_t low, std::int64_t high, unsigned shift) {
  return (static_cast<std::uint64_t>(low) + (static_cast<std::uint64_t>(high) << digit_bits))
         << shift;
}

/// Loop for any processor, in a form that compilers vectorise.
template <Factor weight, Factor input>
bool portable_pass(const BitDigits &pass, BitRows weights, BitRows inputs,
                   std::span<std::uint64_t> sums) {
  static_assert(steps_a_sum(weight, input) >= 1);
  const std::size_t n_columns = padded(pass.n_columns);
  unsigned any_bit = 0;
  for (std::size_t row = 0; row < sums.size(); ++row) {
    const std::uint8_t *w = weights.row(row), *a = inputs.row(row);
    std::int64_t low = 0, high = 0;
    for (std::size_t step = 0; step < n_columns; step += column_step) {
      const std::int16_t *digits = pass.digits.data() + 2 * step;
      std::array<std::int16_t, column_step> products;
      for (std::size_t i = 0; i < column_step; ++i) {
        const std::uint8_t weight_bits = w[step + i], input_bits = a[step + i];
        any_bit |= static_cast<std::uint8_t>(weight_bits - 1);
        any_bit |= static_cast<std::uint8_t>(input_bits - 1);
        products[i] =
            static_cast<std::int16_t>(value<weight>(weight_bits) * value<input>(input_bits));
      }
      // Unsigned, because sums of invalid widths may overflow.
      std::uint32_t low_part = 0, high_part = 0;
      for (std::size_t i = 0; i < column_step; ++i)
        low_part += static_cast<std::uint32_t>(products[i] * digits[i]);
      for (std::size_t i = 0; i < column_step; ++i)
        high_part += static_cast<std::uint32_t>(products[i] * digits[column_step + i]);
      low += static_cast<std::int32_t>(low_part);
      high += static_cast<std::int32_t>(high_part);
    }
    sums[row] += combine(low, high, pass.shift);
  }
  return any_bit < max_bits;
}

#if defined(__x86_64__)
#define BOPSCOUNT_AVX2 [[gnu::target("avx2")]]

/// Return the factors of 32 bit widths, as bytes.
template <Factor factor> BOPSCOUNT_AVX2 inline __m256i values(__m256i bits) {
  const __m256i wide = _mm256_cmpgt_epi8(bits, _mm256_set1_epi8(max_low_bits));
  const __m256i ones = _mm256_set1_epi8(1);
  if constexpr (factor == Factor::bits) return bits;
  if constexpr (factor == Factor::low) return _mm256_andnot_si256(wide, ones);
  if constexpr (factor == Factor::low_bits) return _mm256_andnot_si256(wide, bits);
  if constexpr (factor == Factor::binary)
    return _mm256_and_si256(_mm256_cmpeq_epi8(bits, ones), ones);
  return ones;
}

/// Return the products of the lower or the higher 16 bytes.
template <int half> BOPSCOUNT_AVX2 inline __m256i multiply(__m256i left, __m256i right) {
  return _mm256_mullo_epi16(_mm256_cvtepu8_epi16(_mm256_extracti128_si256(left, half)),
                            _mm256_cvtepu8_epi16(_mm256_extracti128_si256(right, half)));
}

/// Return products x 32 digits, added in pairs.
BOPSCOUNT_AVX2 inline __m256i dot(__m256i lower, __m256i higher, const std::int16_t *digits) {
  const auto *vectors = reinterpret_cast<const __m256i *>(digits);
  return _mm256_add_epi32(_mm256_madd_epi16(lower, _mm256_loadu_si256(vectors)),
                          _mm256_madd_epi16(higher, _mm256_loadu_si256(vectors + 1)));
}

template <Factor weight, Factor input>
BOPSCOUNT_AVX2 bool avx2_pass(const BitDigits &pass, BitRows weights, BitRows inputs,
                              std::span<std::uint64_t> sums) {
  constexpr std::size_t together = steps_a_sum(weight, input) * column_step;
  const std::size_t n_columns = padded(pass.n_columns);
  const __m256i ones = _mm256_set1_epi8(1);
  __m256i any_bit = _mm256_setzero_si256();
  for (std::size_t row = 0; row < sums.size(); ++row) {
    const std::uint8_t *w = weights.row(row), *a = inputs.row(row);
    std::int64_t low = 0, high = 0;
    for (std::size_t first = 0; first < n_columns; first += together) {
      __m256i low_parts = _mm256_setzero_si256(), high_parts = low_parts;
      const std::size_t end = std::min(n_columns, first + together);
      for (std::size_t step = first; step < end; step += column_step) {
        const __m256i weight_bits = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(w + step));
        const __m256i input_bits = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(a + step));
        any_bit = _mm256_or_si256(any_bit, _mm256_or_si256(_mm256_sub_epi8(weight_bits, ones),
                                                           _mm256_sub_epi8(input_bits, ones)));
        const __m256i left = values<weight>(weight_bits), right = values<input>(input_bits);
        const __m256i lower = multiply<0>(left, right), higher = multiply<1>(left, right);
        const std::int16_t *digits = pass.digits.data() + 2 * step;
        low_parts = _mm256_add_epi32(low_parts, dot(lower, higher, digits));
        high_parts = _mm256_add_epi32(high_parts, dot(lower, higher, digits + column_step));
      }
      const __m256i pairs = _mm256_hadd_epi32(low_parts, high_parts);
      const __m128i halves =
          _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
      const std::int64_t both = _mm_cvtsi128_si64(_mm_hadd_epi32(halves, halves));
      low += static_cast<std::int32_t>(both);
      high += both >> 32;
    }
    sums[row] += combine(low, high, pass.shift);
  }
  return _mm256_testz_si256(any_bit, _mm256_set1_epi8(static_cast<char>(~(max_bits - 1)))) != 0;
}
#endif

BitPass find(BitTerm term, Instructions instructions) {
#if defined(__x86_64__)
  if (instructions == Instructions::avx512) return avx512_pass_of(term);
  if (instructions == Instructions::avx2)
    return find_pass(term, []<BitTerm of>() -> BitPass { return &avx2_pass<of.weight, of.input>; });
#else
  static_cast<void>(instructions);
#endif
  return find_pass(term,
                   []<BitTerm of>() -> BitPass { return &portable_pass<of.weight, of.input>; });
}

} // namespace

std::vector<BitDigits> cut_into_digits(BitTerm term, std::span<const std::int64_t> coefficients) {
  std::uint64_t any_bit = 0;
  const auto magnitude = [](std::int64_t value) {
    return value < 0 ? -static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  };
  for (const std::int64_t coefficient : coefficients) any_bit |= magnitude(coefficient);
  // An even number, as AVX-512 processes two groups at a time.
  const std::size_t n_groups = padded(padded(coefficients.size()) / column_step, 2);
  std::vector<BitDigits> passes;
  for (unsigned shift = 0; shift < std::bit_width(any_bit); shift += 2 * digit_bits) {
    BitDigits pass{term, shift, coefficients.size(),
                   std::vector<std::int16_t>(n_groups * 2 * column_step)};
    for (std::size_t column = 0; column < coefficients.size(); ++column) {
      const std::uint64_t rest = magnitude(coefficients[column]) >> shift;
      const int sign = coefficients[column] < 0 ? -1 : 1;
      std::int16_t *digits =
          pass.digits.data() + 2 * (column - column % column_step) + column % column_step;
      digits[0] = static_cast<std::int16_t>(sign * static_cast<int>(rest & max_digit));
      digits[column_step] =
          static_cast<std::int16_t>(sign * static_cast<int>((rest >> digit_bits) & max_digit));
    }
    passes.push_back(std::move(pass));
  }
  return passes;
}

bool has(Instructions instructions) {
#if defined(__x86_64__)
  if (instructions == Instructions::avx512)
    return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
           __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vbmi") != 0 &&
           __builtin_cpu_supports("avx512vnni") != 0;
  if (instructions == Instructions::avx2) return __builtin_cpu_supports("avx2") != 0;
#endif
  return instructions == Instructions::portable;
}

Instructions best_instructions() {
  static const Instructions best = has(Instructions::avx512) ? Instructions::avx512
                                   : has(Instructions::avx2) ? Instructions::avx2
                                                             : Instructions::portable;
  return best;
}

std::size_t n_columns_read(std::size_t n_columns, Instructions instructions) {
  return instructions == Instructions::avx512 ? n_columns : padded(n_columns);
}

bool add_products(const BitDigits &pass, BitRows weights, BitRows inputs,
                  std::span<std::uint64_t> sums, Instructions instructions) {
  return find(pass.term, instructions)(pass, weights, inputs, sums);
}

} // namespace bopscount
