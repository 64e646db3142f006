/// A 128-bit integer that throws instead of wrapping.
#pragma once

#include <cstdint>

namespace bopscount {

/// ISO C++ has no 128-bit integer; both compilers that we build with do.
__extension__ using Int128 = __int128;

struct WideOverflow {};

/// Signed 128-bit arithmetic; every operation that leaves the range throws
/// WideOverflow. The slow twin of std::int64_t in the evaluator.
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

  /// The value, or WideOverflow if it is not in [0, 2^63 - 1].
  constexpr std::int64_t narrow() const {
    if (value_ < 0 || value_ > INT64_MAX) throw WideOverflow{};
    return static_cast<std::int64_t>(value_);
  }
  constexpr bool negative() const { return value_ < 0; }

private:
  Int128 value_;
};

} // namespace bopscount
