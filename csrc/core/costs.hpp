/// Exact sums of layers' costs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/exact.hpp"
#include "core/metrics.hpp"

namespace bopscount {

/// Exact sums of costs by metric; 128 bits hold 2^64 layers of the largest cost.
///
/// Low and high halves are stored separately: gcc turns an array of 128-bit sums into
/// vector loads of just-stored scalar halves, which is five times slower.
class CostSums {
public:
  /// Add the costs of one layer.
  void add(const Costs &costs) {
    for (std::size_t metric = 0; metric < metric_count; ++metric) {
      const auto cost = static_cast<std::uint64_t>(costs[metric]);
      low_[metric] += cost;
      high_[metric] += low_[metric] < cost ? 1 : 0;
    }
  }
  /// Return the sum of a metric, by its index.
  Int128 operator[](std::size_t metric) const {
    return (static_cast<Int128>(high_[metric]) << 64) | static_cast<Int128>(low_[metric]);
  }

private:
  std::array<std::uint64_t, metric_count> low_{};
  std::array<std::uint64_t, metric_count> high_{};
};

} // namespace bopscount
