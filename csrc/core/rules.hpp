/// Rule sets.
#pragma once

#include <cstdint>

namespace bopscount {

/// Rule set that costs are counted under.
enum class Rules : std::uint8_t {
  torchstat, ///< the predecessor's table, digit for digit
  full,      ///< every op that computes or moves anything
};

} // namespace bopscount
