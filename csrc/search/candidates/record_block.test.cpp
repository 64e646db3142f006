#include "search/candidates/record_block.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "core/op_table.hpp"

using namespace bopscount;

namespace {

Layer linear(std::int64_t in, std::int64_t out) {
  Layer layer;
  layer.kind = static_cast<std::uint16_t>(Kind::linear);
  layer.in_channels = in;
  layer.out_channels = out;
  layer.weight_elements = layer.params = in * out;
  return layer;
}

/// Three candidates of two layers each, row by row.
std::vector<Layer> three_candidates() {
  return {linear(3, 4), linear(4, 5), linear(3, 8), linear(8, 5), linear(3, 1), linear(1, 5)};
}

RecordBlock block_of(const std::vector<Layer> &layers) {
  constexpr auto size = static_cast<std::ptrdiff_t>(sizeof(Layer));
  return {reinterpret_cast<const std::byte *>(layers.data()), layers.size() / 2, 2, 2 * size, size};
}

constexpr auto macs = static_cast<std::size_t>(Metric::macs);

} // namespace

TEST_CASE("a candidate is the sum of its row") {
  const auto layers = three_candidates();
  const RecordBlock block = block_of(layers);
  CHECK(count_candidate(block, 0, Rules::full)[macs] == 12 + 20);
  CHECK(count_candidate(block, 1, Rules::full)[macs] == 24 + 40);
  CHECK(count_candidate(block, 2, Rules::full)[macs] == 3 + 5);
}

TEST_CASE("candidates and layers may lie backwards, apart, or in one place") {
  const auto layers = three_candidates();
  constexpr auto size = static_cast<std::ptrdiff_t>(sizeof(Layer));
  const auto *last = reinterpret_cast<const std::byte *>(&layers[5]);
  const RecordBlock backwards{last, 3, 2, -2 * size, -size};
  CHECK(count_candidate(backwards, 0, Rules::full)[macs] == 3 + 5);
  CHECK(count_candidate(backwards, 2, Rules::full)[macs] == 12 + 20);
  const RecordBlock by_column{reinterpret_cast<const std::byte *>(layers.data()), 2, 3, size,
                              2 * size};
  CHECK(count_candidate(by_column, 0, Rules::full)[macs] == 12 + 24 + 3);
  CHECK(count_candidate(by_column, 1, Rules::full)[macs] == 20 + 40 + 5);
  const RecordBlock repeated{reinterpret_cast<const std::byte *>(layers.data()), 5, 3, 0, 0};
  CHECK(count_candidate(repeated, 4, Rules::full)[macs] == 3 * 12);
}

TEST_CASE("no layers cost nothing") {
  const RecordBlock block{nullptr, 3, 0, 0, 0};
  CHECK(count_candidate(block, 2, Rules::full)[macs] == 0);
}

TEST_CASE("a bad record is named by candidate and layer") {
  auto layers = three_candidates();
  layers[3].kind = 0;
  try {
    count_candidate(block_of(layers), 1, Rules::torchstat);
    FAIL("nothing was thrown");
  } catch (const CandidateError &error) {
    CHECK(error.candidate == 1);
    CHECK(error.layer == 1);
  }
}

TEST_CASE("a cost that is too large is named by candidate and layer, a total by candidate") {
  auto layers = three_candidates();
  layers[5].calls = INT64_MAX;
  try {
    count_candidate(block_of(layers), 2, Rules::torchstat);
    FAIL("nothing was thrown");
  } catch (const CandidateOverflow &error) {
    CHECK(error.candidate == 2);
    CHECK(error.layer == 1);
  }
  layers = three_candidates();
  layers[4].params = layers[5].params = INT64_MAX;
  const CostSums sums = count_candidate(block_of(layers), 2, Rules::torchstat);
  CHECK(sums[0] == 2 * static_cast<Int128>(INT64_MAX));
  CHECK(narrow_sum(sums, Metric::macs, 2) == 3 + 5);
  try {
    narrow_sum(sums, Metric::params, 2);
    FAIL("nothing was thrown");
  } catch (const CandidateOverflow &error) {
    CHECK(error.candidate == 2);
    CHECK(error.layer == CandidateOverflow::all_layers);
  }
}
