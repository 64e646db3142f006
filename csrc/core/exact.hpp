/// 128-bit integer that throws instead of wrapping.
#pragma once

#include <cstdint>

namespace bopscount {

/// 128-bit integer. ISO C++ has none, but both supported compilers do.
__extension__ using Int128 = __int128;

/// Result outside the range of `Wide`, or of std::int64_t.
struct WideOverflow {};

/// Signed 128-bit integer; every operation that leaves the range throws
/// WideOverflow. Slow replacement of std::int64_t in the evaluator.
class Wide {
public:
  constexpr Wide(std::int64_t value = 0) : value_(value) {}

  friend constexpr Wide operator*(Wide left, Wide right) {
    Wide result;
    if (__builtin_mul_overflow(left.value_, right.value_, &result.value_)) throw WideOverflow{};
    return result;
  }
  friend constexpr Wide operator+(Wide left, Wide right) {
    Wide result;
    if (__builtin_add_overflow(left.value_, right.value_, &result.value_)) throw WideOverflow{};
    return result;
  }
  friend constexpr Wide operator/(Wide left, std::int64_t right) {
    left.value_ /= right;
    return left;
  }
  constexpr Wide &operator+=(Wide other) { return *this = *this + other; }

  /// Return the value; throw WideOverflow unless it is in [0, 2^63 - 1].
  constexpr std::int64_t narrow() const {
    if (value_ < 0 || value_ > INT64_MAX) throw WideOverflow{};
    return static_cast<std::int64_t>(value_);
  }
  /// Return whether the value is below 0.
  constexpr bool negative() const { return value_ < 0; }

private:
  Int128 value_;
};

} // namespace bopscount
