#include "core/count.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/op_table.hpp"

using bopscount::BitSource;
using bopscount::Costs;
using bopscount::CostSums;
using bopscount::Int128;
using bopscount::Kind;
using bopscount::Layer;
using bopscount::LayerError;
using bopscount::LayerOverflow;
using bopscount::Metric;
using bopscount::Rules;

namespace {

Layer layer_of(Kind kind) {
  Layer layer;
  layer.kind = static_cast<std::uint16_t>(kind);
  return layer;
}

/// First convolution of ResNet-18: 3x224x224 to 64x112x112 by 7x7, no bias.
Layer resnet18_conv1() {
  Layer layer = layer_of(Kind::conv);
  layer.params = layer.logical_params = layer.weight_elements = 64 * 3 * 7 * 7;
  layer.in_channels = 3;
  layer.in_positions = 224 * 224;
  layer.out_channels = 64;
  layer.out_positions = 112 * 112;
  layer.kernel[0] = layer.kernel[1] = 7;
  return layer;
}

/// 3x3 convolution of 64 channels at 56x56, with quantised operands.
Layer low_bit_conv(std::uint8_t weight_bits, std::uint8_t input_bits) {
  Layer layer = layer_of(Kind::conv);
  layer.weight_elements = 64 * 64 * 3 * 3;
  layer.in_channels = layer.out_channels = 64;
  layer.in_positions = layer.out_positions = 56 * 56;
  layer.kernel[0] = layer.kernel[1] = 3;
  layer.weight_bits = weight_bits;
  layer.input_bits = input_bits;
  layer.weight_bits_source = layer.input_bits_source = BitSource::user;
  return layer;
}

/// Layer of 2^40 outputs with one channel and window, a mac each.
Layer big_matmul() {
  Layer layer = layer_of(Kind::matmul);
  layer.batch = layer.out_positions = INT64_C(1) << 20;
  return layer;
}

Costs cost(const Layer &layer, Rules rules, bool discount_zeros = false) {
  std::array<Costs, 1> costs;
  bopscount::layer_costs({&layer, 1}, rules, costs, discount_zeros);
  return costs[0];
}

std::int64_t value(const Costs &costs, Metric metric) {
  return costs[static_cast<std::size_t>(metric)];
}

bool is(const CostSums &sums, Metric metric, Int128 expected) {
  return sums[static_cast<std::size_t>(metric)] == expected;
}

/// Return the message of the LayerError from counting `layer`.
std::string refusal(const Layer &layer, bool discount_zeros = false) {
  try {
    cost(layer, Rules::full, discount_zeros);
  } catch (const LayerError &error) {
    return error.what();
  }
  return "";
}

} // namespace

TEST_CASE("conv1 of ResNet-18 costs what torchstat prints") {
  const Costs costs = cost(resnet18_conv1(), Rules::torchstat);
  CHECK(value(costs, Metric::params) == 9'408);
  CHECK(value(costs, Metric::logical_params) == 9'408);
  CHECK(value(costs, Metric::macs) == 118'013'952);
  CHECK(value(costs, Metric::flops) == 118'013'952);
  CHECK(value(costs, Metric::madd) == 235'225'088);
  CHECK(value(costs, Metric::bops) == 0);
  CHECK(value(costs, Metric::ops_x64) == 64 * INT64_C(118'013'952));
  CHECK(value(costs, Metric::memory_bytes) == 3'211'264);
  CHECK(value(costs, Metric::mem_read) == 639'744);
  CHECK(value(costs, Metric::mem_write) == 3'211'264);
}

TEST_CASE("a bias costs one operation and one addition per output") {
  Layer layer = resnet18_conv1();
  layer.bias_elements = 64;
  const Costs costs = cost(layer, Rules::torchstat);
  CHECK(value(costs, Metric::flops) == 118'013'952 + 802'816);
  CHECK(value(costs, Metric::madd) == 2 * 118'013'952);
  CHECK(value(costs, Metric::mem_read) == 639'744 + 64 * 4);
}

TEST_CASE("a depthwise convolution has one input channel per output") {
  Layer layer = low_bit_conv(32, 32);
  layer.groups = 64;
  CHECK(value(cost(layer, Rules::full), Metric::macs) == 64 * 56 * 56 * 9);
}

TEST_CASE("a binary convolution has Bops and nothing else under torchstat rules") {
  const Costs costs = cost(low_bit_conv(1, 1), Rules::torchstat);
  const std::int64_t macs = INT64_C(64) * 56 * 56 * 64 * 9;
  CHECK(macs == 115'605'504);
  CHECK(value(costs, Metric::macs) == macs);
  CHECK(value(costs, Metric::bops) == macs);
  CHECK(value(costs, Metric::ops_x64) == macs);
  CHECK(value(costs, Metric::flops) == 0);
  CHECK(value(costs, Metric::madd) == 0);
  CHECK(value(costs, Metric::mem_read) == 0);
  CHECK(value(costs, Metric::mem_write) == 0);
  CHECK(value(costs, Metric::memory_bytes) == 4 * 64 * 56 * 56);
}

TEST_CASE("a binary convolution moves its bits under the full rules") {
  const Costs costs = cost(low_bit_conv(1, 1), Rules::full);
  CHECK(value(costs, Metric::mem_read) == (64 * 56 * 56 + 64 * 64 * 9) / 8);
  CHECK(value(costs, Metric::mem_write) == 4 * 64 * 56 * 56);
}

TEST_CASE("bits that do not fill a byte are rounded up once for all operands") {
  Layer layer = layer_of(Kind::linear);
  layer.in_channels = layer.weight_elements = 3;
  layer.input_bits = layer.weight_bits = layer.output_bits = 1;
  layer.calls = 5;
  const Costs costs = cost(layer, Rules::full);
  CHECK(value(costs, Metric::mem_read) == 5 * 1);
  CHECK(value(costs, Metric::mem_write) == 5 * 1);
}

TEST_CASE("Bops are macs times both widths up to 16 bits, and none above") {
  const std::int64_t macs = 115'605'504;
  CHECK(value(cost(low_bit_conv(4, 8), Rules::torchstat), Metric::bops) == 32 * macs);
  CHECK(value(cost(low_bit_conv(16, 16), Rules::full), Metric::bops) == 256 * macs);
  const Costs wide = cost(low_bit_conv(17, 8), Rules::full);
  CHECK(value(wide, Metric::bops) == 0);
  CHECK(value(wide, Metric::flops) == macs);
  CHECK(value(wide, Metric::ops_x64) == 64 * macs);
}

TEST_CASE("a layer is in full precision unless both operands are quantised") {
  Layer layer = low_bit_conv(1, 1);
  layer.input_bits_source = BitSource::floating;
  CHECK(value(cost(layer, Rules::full), Metric::bops) == 0);
  layer = low_bit_conv(1, 1);
  layer.weight_bits_source = BitSource::floating;
  CHECK(value(cost(layer, Rules::full), Metric::bops) == 0);
}

TEST_CASE("a binary activation is one Bop an element and no part of the OPs") {
  Layer layer = layer_of(Kind::quantize);
  layer.in_channels = layer.out_channels = 100;
  layer.output_bits = 1;
  const Costs costs = cost(layer, Rules::torchstat);
  CHECK(value(costs, Metric::bops) == 100);
  CHECK(value(costs, Metric::ops_x64) == 0);
  CHECK(value(costs, Metric::flops) == 0);
  CHECK(value(costs, Metric::mem_read) == 0);
  CHECK(value(cost(layer, Rules::full), Metric::mem_read) == 400);
  CHECK(value(cost(layer, Rules::full), Metric::mem_write) == 13);
}

TEST_CASE("functional calls without macs cost nothing under torchstat rules only") {
  Layer layer = layer_of(Kind::relu);
  layer.in_channels = layer.out_channels = 10;
  layer.flags = bopscount::flag_functional;
  CHECK(value(cost(layer, Rules::torchstat), Metric::flops) == 0);
  CHECK(value(cost(layer, Rules::torchstat), Metric::memory_bytes) == 0);
  CHECK(value(cost(layer, Rules::full), Metric::flops) == 10);
  Layer product = big_matmul();
  product.flags = bopscount::flag_functional;
  CHECK(value(cost(product, Rules::torchstat), Metric::macs) == INT64_C(1) << 40);
}

TEST_CASE("a layer called n times costs n times, but has its parameters once") {
  Layer layer = resnet18_conv1();
  layer.calls = 3;
  const Costs costs = cost(layer, Rules::torchstat);
  CHECK(value(costs, Metric::macs) == 3 * 118'013'952);
  CHECK(value(costs, Metric::mem_read) == 3 * 639'744);
  CHECK(value(costs, Metric::params) == 9'408);
  layer.calls = 0;
  CHECK(cost(layer, Rules::full) == Costs{9'408, 9'408});
}

TEST_CASE("a cost below zero is nothing") {
  Layer layer = layer_of(Kind::max_pool);
  layer.out_positions = 10;
  layer.kernel[0] = 0;
  CHECK(value(cost(layer, Rules::full), Metric::madd) == 0);
}

TEST_CASE("a cost of exactly 2^63 - 1 is counted and one more overflows") {
  Layer layer = layer_of(Kind::relu);
  layer.input_bits = layer.output_bits = 8;
  layer.in_positions = INT64_MAX;
  layer.out_positions = 0;
  const Costs costs = cost(layer, Rules::full);
  CHECK(value(costs, Metric::flops) == INT64_MAX);
  CHECK(value(costs, Metric::mem_read) == INT64_MAX);
  layer.extra_elements = 1;
  CHECK_THROWS_AS(cost(layer, Rules::full), LayerOverflow);
}

TEST_CASE("a cost whose parts leave 128 bits overflows") {
  Layer layer = layer_of(Kind::conv);
  layer.batch = layer.in_channels = layer.out_channels = layer.out_positions = INT64_MAX;
  CHECK_THROWS_AS(cost(layer, Rules::torchstat), LayerOverflow);
}

TEST_CASE("an overflow names the first layer that has one") {
  Layer huge = big_matmul();
  huge.calls = INT64_C(1) << 20;
  const std::vector<Layer> layers = {big_matmul(), huge, huge};
  try {
    bopscount::count_totals(layers, Rules::full);
    FAIL("no overflow");
  } catch (const LayerOverflow &error) {
    CHECK(error.layer == 1);
  }
}

TEST_CASE("totals past 64 bits are exact") {
  Layer layer = layer_of(Kind::relu);
  layer.params = INT64_MAX;
  const std::vector<Layer> layers(5, layer);
  const CostSums sums = bopscount::count_totals(layers, Rules::full);
  CHECK(is(sums, Metric::params, static_cast<Int128>(INT64_MAX) * 5));
  CHECK(is(sums, Metric::flops, 5));
}

TEST_CASE("sums carry from their low half to their high half") {
  CostSums sums;
  Costs costs{};
  costs[0] = INT64_MAX;
  for (int i = 0; i < 2; ++i) sums.add(costs);
  CHECK(sums[0] == (static_cast<Int128>(1) << 64) - 2);
  sums.add({2});
  CHECK(sums[0] == static_cast<Int128>(1) << 64);
  CHECK(sums[1] == 0);
}

TEST_CASE("the layers of a group add up, and those of group -1 are left out") {
  const std::vector<Layer> layers(4, resnet18_conv1());
  const std::vector<std::int32_t> groups = {1, -1, 1, 0};
  std::vector<CostSums> sums(3);
  bopscount::count_groups(layers, groups, Rules::torchstat, sums);
  CHECK(is(sums[0], Metric::macs, 118'013'952));
  CHECK(is(sums[1], Metric::macs, 2 * 118'013'952));
  CHECK(is(sums[2], Metric::macs, 0));
}

TEST_CASE("no layers cost nothing") {
  CHECK(is(bopscount::count_totals({}, Rules::full), Metric::macs, 0));
}

TEST_CASE("zero weights of a convolution save their macs and their memory") {
  Layer layer = resnet18_conv1();
  layer.nonzero_weights = layer.weight_elements / 4;
  const std::int64_t macs = 118'013'952 / 4, outputs = 802'816, zeros = 9'408 - 2'352;
  const Costs torchstat = cost(layer, Rules::torchstat, true);
  CHECK(value(torchstat, Metric::params) == 9'408);
  CHECK(value(torchstat, Metric::macs) == macs);
  CHECK(value(torchstat, Metric::flops) == macs);
  CHECK(value(torchstat, Metric::madd) == 2 * macs - outputs);
  CHECK(value(torchstat, Metric::ops_x64) == 64 * macs);
  CHECK(value(torchstat, Metric::mem_read) == 639'744 - 4 * zeros);
  CHECK(value(torchstat, Metric::mem_write) == 3'211'264);
  CHECK(cost(layer, Rules::torchstat) == cost(resnet18_conv1(), Rules::torchstat));
  layer.nonzero_weights = -1;
  CHECK(cost(layer, Rules::full, true) == cost(resnet18_conv1(), Rules::full));
}

TEST_CASE("zero weights of a low-bit convolution save Bops, and bits of its memory") {
  Layer layer = low_bit_conv(3, 2);
  const Costs dense = cost(layer, Rules::full);
  layer.nonzero_weights = 36'864 / 2 + 1;
  const Costs sparse = cost(layer, Rules::full, true);
  const std::int64_t macs = INT64_C(56) * 56 * layer.nonzero_weights;
  CHECK(value(sparse, Metric::macs) == macs);
  CHECK(value(sparse, Metric::bops) == 6 * macs);
  CHECK(value(sparse, Metric::ops_x64) == 6 * macs);
  CHECK(value(sparse, Metric::flops) == value(dense, Metric::flops));
  CHECK(value(sparse, Metric::mem_read) == (64 * 56 * 56 * 2 + 3 * layer.nonzero_weights + 7) / 8);
}

TEST_CASE("zeros are discounted exactly where a dense layer needs 128 bits") {
  Layer layer = layer_of(Kind::linear);
  layer.batch = INT64_C(1) << 31;
  layer.in_channels = layer.out_channels = INT64_C(1) << 16;
  layer.weight_elements = INT64_C(1) << 32;
  CHECK_THROWS_AS(cost(layer, Rules::full), LayerOverflow);
  layer.nonzero_weights = 3;
  CHECK(value(cost(layer, Rules::full, true), Metric::macs) == INT64_C(3) << 31);
  layer.nonzero_weights = layer.weight_elements;
  CHECK_THROWS_AS(cost(layer, Rules::full, true), LayerOverflow);
}

TEST_CASE("a weight that is another op's output has no zeros to discount") {
  Layer layer = big_matmul();
  layer.weight_elements = 1;
  layer.nonzero_weights = 0;
  CHECK(cost(layer, Rules::full, true) == cost(layer, Rules::full));
}

TEST_CASE("more non-zero weights than weights are refused where zeros are discounted") {
  Layer layer = resnet18_conv1();
  layer.nonzero_weights = 9'409;
  CHECK(refusal(layer) == "");
  CHECK(refusal(layer, true) == "nonzero_weights must be at most weight_elements (9408), got 9409");
}

TEST_CASE("kinds that are not in the table are refused") {
  const std::string allowed = "kind must be 1 to " + std::to_string(bopscount::kind_count - 1);
  CHECK(refusal(layer_of(Kind::invalid)) == allowed + ", got 0");
  CHECK(refusal(layer_of(Kind::count)) ==
        allowed + ", got " + std::to_string(bopscount::kind_count));
}

TEST_CASE("negative sizes are refused by name") {
  Layer layer = resnet18_conv1();
  layer.out_positions = -1;
  CHECK(refusal(layer) == "out_positions must not be negative, got -1");
  layer = resnet18_conv1();
  layer.kernel[2] = -4;
  CHECK(refusal(layer) == "kernel[2] must not be negative, got -4");
}

TEST_CASE("groups that do not divide the channels are refused") {
  Layer layer = resnet18_conv1();
  layer.groups = 0;
  CHECK(refusal(layer) == "groups must be at least 1, got 0");
  layer.groups = 2;
  CHECK(refusal(layer) ==
        "in_channels and out_channels must be multiples of groups, got 3 and 64 by 2");
}
