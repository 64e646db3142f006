#include "search/candidates/shapes.hpp"

#include "core/op_table.hpp"
#include "recording/shape_rules.hpp"

namespace bopscount {

bool changed_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out) {
  switch (static_cast<Kind>(layer.kind)) {
  case Kind::conv: return conv_shape(layer, spatial, in, out);
  case Kind::conv_transpose: return conv_transpose_shape(layer, spatial, in, out);
  case Kind::linear: return linear_shape(layer, in, out);
  case Kind::max_pool:
  case Kind::avg_pool:
  case Kind::lp_pool: return pool_shape(layer, spatial, in, out);
  default: return false;
  }
}

bool is_countable(const Dims &dims) {
  constexpr std::int64_t largest = std::int64_t{1} << 62;
  std::int64_t product = 1;
  for (const std::int64_t size : dims) {
    if (size < 1 || size > INT32_MAX || __builtin_mul_overflow(product, size, &product) ||
        product >= largest)
      return false;
  }
  return true;
}

} // namespace bopscount
