#include "search/bits/bit_search.hpp"

#include <array>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "core/count.hpp"
#include "core/op_table.hpp"
#include "search/bits/instruction_sets.hpp"

using namespace bopscount;

namespace {

Layer conv(std::int64_t in, std::int64_t out, std::int64_t positions, bool bias = false) {
  Layer layer;
  layer.kind = static_cast<std::uint16_t>(Kind::conv);
  layer.in_channels = in;
  layer.out_channels = out;
  layer.in_positions = layer.out_positions = positions;
  layer.kernel[0] = layer.kernel[1] = 3;
  layer.weight_elements = 9 * in * out;
  layer.bias_elements = bias ? out : 0;
  return layer;
}

constexpr std::array all_metrics = {Metric::macs,     Metric::flops,    Metric::madd,
                                    Metric::bops,     Metric::ops_x64,  Metric::memory_bytes,
                                    Metric::mem_read, Metric::mem_write};

struct Network {
  std::vector<Layer> layers;
  std::vector<std::int32_t> columns;
  std::size_t n_columns;
};

/// Network with whole bytes and fractions of them, biases, a layer in no column, and two layers
/// in one column.
Network some_network() {
  Network network;
  network.layers = {conv(8, 16, 64),        conv(3, 5, 7, true), conv(16, 8, 64, true),
                    conv(3, 5, 7, true),    conv(1, 1, 1),       conv(64, 64, 3136),
                    conv(1024, 1024, 99999)};
  network.columns = {0, 1, 2, 3, -1, 1, 4};
  network.n_columns = 5;
  return network;
}

/// Return the sums the slow way: change the records, count them and sum up.
CostSums reference(const Network &network, Rules rules, Varied varied, const std::uint8_t *weights,
                   const std::uint8_t *inputs) {
  std::vector<Layer> layers = network.layers;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (network.columns[i] < 0) continue;
    if (varied.weight) {
      layers[i].weight_bits = weights[network.columns[i]];
      layers[i].weight_bits_source = BitSource::user;
    }
    if (varied.input) {
      layers[i].input_bits = inputs[network.columns[i]];
      layers[i].input_bits_source = BitSource::user;
    }
  }
  return count_totals(layers, rules);
}

std::vector<std::uint8_t> random_widths(std::size_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> widths(n);
  for (std::uint8_t &width : widths)
    width = static_cast<std::uint8_t>(random() % 3 == 0 ? 1 + random() % 64 : 1 + random() % 17);
  return widths;
}

BitMatrix rows_of(const std::vector<std::uint8_t> &bytes, std::size_t n_columns) {
  return {bytes.data(), static_cast<std::ptrdiff_t>(n_columns), 1};
}

constexpr std::uint8_t one = 1;

} // namespace

TEST_CASE("candidates cost what their changed records cost, on every kind of instructions") {
  const Network network = some_network();
  constexpr std::size_t n = 700;
  const auto weights = random_widths(n * network.n_columns, 1);
  const auto inputs = random_widths(n * network.n_columns, 2);
  for (const Rules rules : {Rules::torchstat, Rules::full}) {
    for (const Varied varied : {Varied{true, true}, Varied{true, false}, Varied{false, true}}) {
      for (const Instructions instructions : every_instructions()) {
        BitSearch search(network.n_columns, varied, instructions);
        search.add_layers(network.layers, network.columns, rules, all_metrics);
        const BitCandidates candidates{
            n, varied.weight ? rows_of(weights, network.n_columns) : BitMatrix{&one, 0, 0},
            varied.input ? rows_of(inputs, network.n_columns) : BitMatrix{&one, 0, 0}};
        std::vector<std::vector<std::int64_t>> values(all_metrics.size(),
                                                      std::vector<std::int64_t>(n));
        std::vector<std::int64_t *> out;
        for (auto &column : values) out.push_back(column.data());
        search.count(candidates, 0, n, out);
        for (std::size_t row = 0; row < n; ++row) {
          const auto expected = reference(network, rules, varied, &weights[row * network.n_columns],
                                          &inputs[row * network.n_columns]);
          for (std::size_t i = 0; i < all_metrics.size(); ++i)
            CHECK(values[i][row] == expected[static_cast<std::size_t>(all_metrics[i])]);
        }
      }
    }
  }
}

TEST_CASE("wide networks, whose sums of products need several turns on 32 bits") {
  Network network;
  network.n_columns = 1500;
  for (std::size_t i = 0; i < network.n_columns; ++i) {
    network.layers.push_back(conv(64, 64, 3136 + static_cast<std::int64_t>(i % 3)));
    network.columns.push_back(static_cast<std::int32_t>(i));
  }
  const std::vector<std::uint8_t> sixteen(3 * network.n_columns, 16);
  for (const Instructions instructions : every_instructions()) {
    BitSearch search(network.n_columns, {true, true}, instructions);
    constexpr std::array metrics = {Metric::bops};
    search.add_layers(network.layers, network.columns, Rules::full, metrics);
    const BitMatrix rows = rows_of(sixteen, network.n_columns);
    std::vector<std::int64_t> bops(3);
    std::int64_t *const out[] = {bops.data()};
    search.count({3, rows, rows}, 0, 3, out);
    const auto expected =
        reference(network, Rules::full, {true, true}, sixteen.data(), sixteen.data());
    for (const std::int64_t value : bops) CHECK(value == expected[5]);
  }
}

TEST_CASE("a sum over 63 bits is told, or given in two halves") {
  Network network;
  network.n_columns = 2;
  network.layers = {conv(1 << 20, 1 << 20, 1 << 14), conv(1 << 20, 1 << 20, 1 << 14)};
  network.columns = {0, 1};
  BitSearch search(2, {true, true});
  constexpr std::array metrics = {Metric::macs, Metric::bops};
  search.add_layers(network.layers, network.columns, Rules::full, metrics);
  // 9 x 2^54 MACs each: 2 x 2 bits are 9 x 2^57 in all, 4 x 8 bits 9 x 2^60.
  const std::vector<std::uint8_t> weights = {2, 2, 4, 4}, inputs = {2, 2, 8, 8};
  const BitCandidates candidates{2, rows_of(weights, 2), rows_of(inputs, 2)};
  std::vector<std::int64_t> macs(2), bops(2);
  std::int64_t *const out[] = {macs.data(), bops.data()};
  search.count(candidates, 0, 1, out);
  CHECK(bops[0] == std::int64_t{9} << 57);
  try {
    search.count(candidates, 0, 2, out);
    FAIL("no overflow");
  } catch (const SumOverflow &overflow) {
    CHECK(overflow.candidate == 1);
    CHECK(overflow.sum == 1);
  }
  std::vector<std::uint64_t> low_macs(2), low_bops(2);
  std::uint64_t *const low[] = {low_macs.data(), low_bops.data()};
  search.count_wide(candidates, 0, 2, 0, out, low);
  const Int128 sum = (static_cast<Int128>(bops[1]) << 64) | low_bops[1];
  CHECK(sum == (static_cast<Int128>(9) << 60));
  // Of 16 x 16 bits, one layer alone is over 63 bits.
  const std::vector<std::uint8_t> sixteen = {1, 1, 1, 16}, ones = {1, 1, 16, 16};
  const BitCandidates too_large{2, rows_of(sixteen, 2), rows_of(ones, 2)};
  try {
    search.count(too_large, 0, 2, out);
    FAIL("no overflow");
  } catch (const LayerCostOverflow &overflow) {
    CHECK(overflow.candidate == 1);
    CHECK(overflow.column == 1);
  }
}

TEST_CASE("the first width out of range is named") {
  BitSearch search(3, {true, true});
  SUBCASE("where nothing is counted") {}
  SUBCASE("where something is") {
    const std::vector<Layer> layers = {conv(3, 5, 7), conv(8, 8, 8), conv(3, 5, 7)};
    const std::vector<std::int32_t> columns = {0, 1, 2};
    constexpr std::array metrics = {Metric::bops, Metric::mem_read, Metric::macs};
    search.add_layers(layers, columns, Rules::full, metrics);
  }
  std::vector<std::int64_t> values(3);
  const std::vector<std::int64_t *> out(search.n_sums(), values.data());
  const std::vector<std::uint8_t> good(9, 8);
  for (const int bad : {0, 65, 255}) {
    std::vector<std::uint8_t> widths = good;
    widths[5] = static_cast<std::uint8_t>(bad);
    for (const bool of_weight : {true, false}) {
      const BitMatrix changed = rows_of(widths, 3), rest = rows_of(good, 3);
      try {
        search.count({3, of_weight ? changed : rest, of_weight ? rest : changed}, 0, 3, out);
        FAIL("not refused");
      } catch (const BadBits &error) {
        CHECK(error.of_weight == of_weight);
        CHECK(error.candidate == 1);
        CHECK(error.column == 2);
        CHECK(error.value == bad);
      }
    }
  }
}

TEST_CASE("arrays of any strides are read where they are and nowhere else") {
  const Network network = some_network();
  constexpr std::size_t n = 300;
  const std::size_t columns = network.n_columns;
  const auto plain = random_widths(n * columns, 3);
  constexpr std::array metrics = {Metric::bops, Metric::mem_read};
  BitSearch search(columns, {true, true});
  search.add_layers(network.layers, network.columns, Rules::full, metrics);
  const auto count = [&](const BitMatrix &rows) {
    std::vector<std::int64_t> bops(n), read(n);
    std::int64_t *const out[] = {bops.data(), read.data()};
    search.count({n, rows, rows}, 0, n, out);
    bops.insert(bops.end(), read.begin(), read.end());
    return bops;
  };
  const auto expected = count(rows_of(plain, columns));
  for (const std::ptrdiff_t row_step : {1, 2, -1, 7}) {
    for (const bool by_column : {false, true}) {
      const auto wide = static_cast<std::size_t>(std::abs(row_step));
      // Exactly as much memory as the array spans; gaps hold invalid widths.
      std::vector<std::uint8_t> memory(n * columns * wide - (by_column ? wide - 1 : 0), 0);
      BitMatrix rows{memory.data(), row_step * static_cast<std::ptrdiff_t>(columns), 1};
      if (by_column) rows = {memory.data(), row_step, static_cast<std::ptrdiff_t>(n * wide)};
      if (row_step < 0) rows.first -= static_cast<std::ptrdiff_t>(n - 1) * rows.row_stride;
      for (std::size_t row = 0; row < n; ++row) {
        for (std::size_t column = 0; column < columns; ++column) {
          const std::uint8_t *cell = rows.first +
                                     static_cast<std::ptrdiff_t>(row) * rows.row_stride +
                                     static_cast<std::ptrdiff_t>(column) * rows.column_stride;
          memory[static_cast<std::size_t>(cell - memory.data())] = plain[row * columns + column];
        }
      }
      CHECK(count(rows) == expected);
    }
  }
}

TEST_CASE("every polynomial is found, and rounding is none") {
  BitGrid grid({true, true});
  const BitPolynomial polynomial{5, {1, 2, 3, -4, 50, 60, 70, 8}};
  for (std::size_t w = 1; w <= max_bits; ++w)
    for (std::size_t a = 1; a <= max_bits; ++a)
      grid.cells[grid.index(w, a)] = static_cast<std::int64_t>(polynomial.at(w, a));
  const auto found = fit(grid);
  REQUIRE(found.has_value());
  CHECK(found->constant == polynomial.constant);
  CHECK(found->coefficients == polynomial.coefficients);
  for (const std::size_t cell : {std::size_t{0}, std::size_t{70}, grid.cells.size() - 1}) {
    BitGrid other = grid;
    other.cells[cell] += 1;
    const auto fitted = fit(other); // 1 x 1 bit may be anything
    CHECK(fitted.has_value() == (cell == 0));
  }
}

TEST_CASE("blocks are long only where there are enough of them") {
  const BitSearch search(54, {true, true});
  CHECK(search.block_size(0) == search.block_size(1));
  CHECK(search.block_size(0) > 0);
  CHECK(search.block_size(1'000'000) > search.block_size(10'000));
  CHECK(1'000'000 / search.block_size(1'000'000) >= 32);
  CHECK(search.block_size(SIZE_MAX) == search.block_size(SIZE_MAX / 2));
}
