#include "search/bits/bit_products.hpp"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "search/bits/instruction_sets.hpp"

using namespace bopscount;

namespace {

std::uint8_t random_width(std::mt19937 &random) {
  const unsigned largest = random() % 3 == 0 ? max_bits : 17;
  return static_cast<std::uint8_t>(1 + random() % largest);
}

/// Random bit widths in memory that ends at the last readable byte of the last row.
struct Rows {
  std::size_t n_rows;
  std::ptrdiff_t stride;
  std::vector<std::uint8_t> bytes;

  Rows(std::size_t n_rows_, std::size_t width, std::ptrdiff_t stride_, std::mt19937 &random)
      : n_rows(n_rows_), stride(stride_),
        bytes((n_rows - 1) * static_cast<std::size_t>(std::abs(stride)) + width) {
    for (std::uint8_t &byte : bytes) byte = random_width(random);
  }
  BitRows rows() const {
    const auto reach = static_cast<std::ptrdiff_t>(n_rows - 1) * stride;
    return {bytes.data() - std::min<std::ptrdiff_t>(0, reach), stride};
  }
  std::uint8_t &at(std::size_t row, std::size_t column) {
    return bytes[static_cast<std::size_t>(rows().row(row) - bytes.data()) + column];
  }
};

std::vector<std::int64_t> random_coefficients(std::size_t n, std::mt19937_64 &random) {
  std::vector<std::int64_t> coefficients(n);
  for (std::int64_t &coefficient : coefficients)
    coefficient = static_cast<std::int64_t>(random()) >> random() % 64;
  return coefficients;
}

std::uint64_t reference(BitTerm term, std::span<const std::int64_t> coefficients,
                        const std::uint8_t *weights, const std::uint8_t *inputs) {
  std::uint64_t sum = 0;
  for (std::size_t column = 0; column < coefficients.size(); ++column) {
    BitPolynomial product;
    for (std::size_t i = 0; i < bit_terms.size(); ++i)
      product.coefficients[i] = bit_terms[i] == term ? coefficients[column] : 0;
    sum += static_cast<std::uint64_t>(product.at(weights[column], inputs[column]));
  }
  return sum;
}

constexpr std::size_t most_columns = 200;

} // namespace

TEST_CASE("sums of products are the same on every kind of instructions, for rows of any length") {
  std::mt19937 random(5);
  std::mt19937_64 random_64(6);
  for (std::size_t n_columns = 1; n_columns <= most_columns; ++n_columns) {
    const std::size_t n_rows = 1 + n_columns % 9;
    const auto coefficients = random_coefficients(n_columns, random_64);
    for (const Instructions instructions : every_instructions()) {
      const std::size_t width = n_columns_read(n_columns, instructions);
      const auto apart = static_cast<std::ptrdiff_t>(n_columns);
      const Rows weights(n_rows, width, n_columns % 2 == 0 ? apart : -apart - 3, random);
      const Rows inputs(n_rows, width, n_columns % 5 == 0 ? 0 : apart + 1, random);
      for (const BitTerm term : bit_terms) {
        std::vector<std::uint64_t> sums(n_rows, 7), expected(n_rows, 7);
        for (const BitDigits &pass : cut_into_digits(term, coefficients))
          CHECK(add_products(pass, weights.rows(), inputs.rows(), sums, instructions));
        for (std::size_t row = 0; row < n_rows; ++row)
          expected[row] +=
              reference(term, coefficients, weights.rows().row(row), inputs.rows().row(row));
        CHECK(sums == expected);
      }
    }
  }
}

TEST_CASE("the largest digits and widths fit into the sums of every kind of instructions") {
  for (const std::size_t n_columns : {std::size_t{64}, std::size_t{9000}}) {
    for (const std::int64_t coefficient :
         {(std::int64_t{1} << 56) - 1, 1 - (std::int64_t{1} << 56)}) {
      const std::vector<std::int64_t> coefficients(n_columns, coefficient);
      for (const std::uint8_t width : {std::uint8_t{16}, std::uint8_t{64}}) {
        const std::vector<std::uint8_t> widths(padded(n_columns), width);
        for (const BitTerm term : bit_terms) {
          const std::uint64_t expected =
              reference(term, coefficients, widths.data(), widths.data());
          for (const Instructions instructions : every_instructions()) {
            std::uint64_t sum = 0;
            for (const BitDigits &pass : cut_into_digits(term, coefficients))
              add_products(pass, {widths.data(), 0}, {widths.data(), 0}, {&sum, 1}, instructions);
            CHECK(sum == expected);
          }
        }
      }
    }
  }
}

TEST_CASE("what is no width is seen in every row and column") {
  std::mt19937 random(7);
  for (const std::size_t n_columns : {1, 31, 32, 33, 54, 63, 64, 65, 127, 128, 129, 200}) {
    const std::vector<std::int64_t> coefficients(n_columns, 1);
    for (const std::size_t n_rows : {1, 3, 4, 6}) {
      for (const Instructions instructions : every_instructions()) {
        const std::size_t width = n_columns_read(n_columns, instructions);
        Rows weights(n_rows, width, static_cast<std::ptrdiff_t>(width), random);
        Rows inputs(n_rows, width, static_cast<std::ptrdiff_t>(width), random);
        const auto term = bit_terms[n_columns % bit_terms.size()];
        const BitDigits pass = cut_into_digits(term, coefficients).front();
        std::vector<std::uint64_t> sums(n_rows);
        for (Rows *changed : {&weights, &inputs}) {
          for (std::size_t row = 0; row < n_rows; ++row) {
            for (std::size_t column = 0; column < n_columns; ++column) {
              std::uint8_t &cell = changed->at(row, column);
              const std::uint8_t good = cell;
              for (const int bad : {0, 65, 128, 255}) {
                cell = static_cast<std::uint8_t>(bad);
                CHECK_FALSE(add_products(pass, weights.rows(), inputs.rows(), sums, instructions));
              }
              cell = good;
            }
          }
        }
        CHECK(add_products(pass, weights.rows(), inputs.rows(), sums, instructions));
      }
    }
  }
}

TEST_CASE("coefficients of 64 bits are cut and put together again") {
  const std::vector<std::int64_t> coefficients = {INT64_MAX, INT64_MIN, 1, -1, 0, 1 << 15, -98304};
  std::mt19937 random(8);
  const Rows widths(1, padded(coefficients.size()), 0, random);
  for (const BitTerm term : bit_terms) {
    const std::uint64_t expected =
        reference(term, coefficients, widths.bytes.data(), widths.bytes.data());
    for (const Instructions instructions : every_instructions()) {
      std::uint64_t sum = 0;
      for (const BitDigits &pass : cut_into_digits(term, coefficients))
        add_products(pass, widths.rows(), widths.rows(), {&sum, 1}, instructions);
      CHECK(sum == expected);
    }
  }
}
