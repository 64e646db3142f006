/// The rule sets.
#pragma once

#include <cstdint>

namespace bopscount {

/// Which rules fill the columns.
enum class Rules : std::uint8_t {
  torchstat, ///< the predecessor's table, digit for digit
  full,      ///< every op that computes or moves anything
};

} // namespace bopscount
