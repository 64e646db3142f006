#include "search/candidates/shapes.hpp"

#include <doctest/doctest.h>

#include "core/op_table.hpp"

using namespace bopscount;

namespace {

Dims dims(std::initializer_list<std::int64_t> sizes) {
  Dims result;
  for (const std::int64_t size : sizes) result.push(size);
  return result;
}

Layer layer(Kind kind, std::int64_t in, std::int64_t out, std::int32_t window) {
  Layer result;
  result.kind = static_cast<std::uint16_t>(kind);
  result.in_channels = in;
  result.out_channels = out;
  result.kernel[0] = result.kernel[1] = window;
  return result;
}

} // namespace

TEST_CASE("changed layers give the shapes of their kinds") {
  Dims out;
  CHECK(changed_shape(layer(Kind::conv, 3, 8, 5), 2, dims({2, 3, 9, 7}), out));
  CHECK(out == dims({2, 8, 5, 3}));
  CHECK(changed_shape(layer(Kind::conv_transpose, 3, 8, 5), 2, dims({2, 3, 9, 7}), out));
  CHECK(out == dims({2, 8, 13, 11}));
  CHECK(changed_shape(layer(Kind::max_pool, 1, 1, 5), 2, dims({2, 3, 9, 7}), out));
  CHECK(out == dims({2, 3, 5, 3}));
  CHECK(changed_shape(layer(Kind::linear, 7, 4, 1), 0, dims({2, 3, 7}), out));
  CHECK(out == dims({2, 3, 4}));
}

TEST_CASE("a window that does not fit, other channels and other kinds have no shape") {
  Dims out;
  CHECK_FALSE(changed_shape(layer(Kind::conv, 3, 8, 5), 2, dims({2, 3, 4, 7}), out));
  CHECK_FALSE(changed_shape(layer(Kind::conv, 3, 8, 5), 2, dims({2, 4, 9, 7}), out));
  CHECK_FALSE(changed_shape(layer(Kind::relu, 3, 3, 1), 0, dims({2, 3}), out));
}

TEST_CASE("shapes are countable if they are filled and their product fits") {
  CHECK(is_countable(dims({})));
  CHECK(is_countable(dims({INT32_MAX, std::int64_t{1} << 30})));
  CHECK_FALSE(is_countable(dims({std::int64_t{1} << 31})));
  CHECK_FALSE(is_countable(dims({INT32_MAX, INT32_MAX, 2})));
  CHECK_FALSE(is_countable(dims({INT64_MAX, 2})));
  CHECK_FALSE(is_countable(dims({2, 0})));
  CHECK_FALSE(is_countable(dims({2, -1})));
}
