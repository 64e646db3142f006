/// What a layer costs: one exact integer per metric.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/exact.hpp"

namespace bopscount {

/// The metrics, in the order of every cost array and tuple.
enum class Metric : std::uint8_t {
  params,         ///< registered parameters, on their first owner
  logical_params, ///< parameters by logical shape, packed weights included
  macs,           ///< multiply-accumulates
  flops,          ///< float operations, a multiply-accumulate being one
  madd,           ///< float multiplications plus additions
  bops,           ///< binary and bit operations
  ops_x64,        ///< 64 x full-precision macs + bops of the MAC layers
  memory_bytes,   ///< 4 x output elements
  mem_read,       ///< bytes read
  mem_write,      ///< bytes written
};

inline constexpr std::size_t metric_count = 10;
inline constexpr std::array<std::string_view, metric_count> metric_names = {
    "params", "logical_params", "macs",         "flops",    "madd",
    "bops",   "ops_x64",        "memory_bytes", "mem_read", "mem_write"};

/// Costs of one layer, indexed by `Metric`; each value is in [0, 2^63 - 1].
using Costs = std::array<std::int64_t, metric_count>;

/// Exact sums of costs; 128 bits hold 2^64 layers of the largest one.
///
/// Low and high halves are kept apart: gcc turns an array of 128-bit sums into
/// vector loads of just-stored scalar halves, which is five times slower.
class CostSums {
public:
  void add(const Costs &costs) {
    for (std::size_t metric = 0; metric < metric_count; ++metric) {
      const auto cost = static_cast<std::uint64_t>(costs[metric]);
      low_[metric] += cost;
      high_[metric] += low_[metric] < cost ? 1 : 0;
    }
  }
  Int128 operator[](std::size_t metric) const {
    return (static_cast<Int128>(high_[metric]) << 64) | static_cast<Int128>(low_[metric]);
  }

private:
  std::array<std::uint64_t, metric_count> low_{};
  std::array<std::uint64_t, metric_count> high_{};
};

/// Which rules fill the columns.
enum class Rules : std::uint8_t {
  torchstat, ///< the predecessor's table, digit for digit
  full,      ///< every op that computes or moves anything
};

} // namespace bopscount
