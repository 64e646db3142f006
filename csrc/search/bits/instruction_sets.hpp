/// Instruction sets of this processor, for tests.
#pragma once

#include <vector>

#include "search/bits/bit_products.hpp"

namespace bopscount {

/// Return all instruction sets that this processor has.
inline std::vector<Instructions> every_instructions() {
  std::vector<Instructions> found;
  for (const Instructions each : {Instructions::portable, Instructions::avx2, Instructions::avx512})
    if (has(each)) found.push_back(each);
  return found;
}

} // namespace bopscount
