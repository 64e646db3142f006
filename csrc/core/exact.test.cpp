#include "core/exact.hpp"

#include <doctest/doctest.h>

#include <cstdint>

using bopscount::Wide;
using bopscount::WideOverflow;

namespace {

/// 2^126, the largest power of two with room for its sum with itself less one.
Wide two_to_the_126() { return Wide(INT64_C(1) << 62) * Wide(INT64_C(1) << 62) * Wide(4); }

} // namespace

TEST_CASE("a wide value narrows to itself up to 2^63 - 1") {
  CHECK(Wide(0).narrow() == 0);
  CHECK(Wide(INT64_MAX).narrow() == INT64_MAX);
  CHECK((Wide(INT64_MAX) + Wide(1) + Wide(-1)).narrow() == INT64_MAX);
}

TEST_CASE("a wide value past 2^63 - 1 or below zero does not narrow") {
  CHECK_THROWS_AS((void)(Wide(INT64_MAX) + Wide(1)).narrow(), WideOverflow);
  CHECK_THROWS_AS((void)Wide(-1).narrow(), WideOverflow);
  CHECK_THROWS_AS((void)Wide(INT64_MIN).narrow(), WideOverflow);
}

TEST_CASE("products past 64 bits come back exact after a division") {
  const Wide product = Wide(INT64_MAX) * Wide(1'000'003);
  CHECK((product / 1'000'003).narrow() == INT64_MAX);
}

TEST_CASE("division drops the remainder, so adding 7 first rounds bits up to bytes") {
  CHECK((Wide(1 + 7) / 8).narrow() == 1);
  CHECK((Wide(8 + 7) / 8).narrow() == 1);
  CHECK((Wide(9 + 7) / 8).narrow() == 2);
}

TEST_CASE("a product that leaves 128 bits throws instead of wrapping") {
  CHECK_NOTHROW((void)two_to_the_126());
  CHECK_THROWS_AS((void)(two_to_the_126() * Wide(2)), WideOverflow);
  CHECK_THROWS_AS((void)(two_to_the_126() * Wide(-3)), WideOverflow);
}

TEST_CASE("a sum that leaves 128 bits throws instead of wrapping") {
  CHECK_THROWS_AS((void)(two_to_the_126() + two_to_the_126()), WideOverflow);
  Wide sum = two_to_the_126();
  CHECK_THROWS_AS(sum += two_to_the_126(), WideOverflow);
}

TEST_CASE("negative values are known as such") {
  CHECK(Wide(-1).negative());
  CHECK((Wide(-1) * two_to_the_126()).negative());
  CHECK_FALSE(Wide(0).negative());
  CHECK_FALSE(two_to_the_126().negative());
}
