/// Dimensions of a tensor, on the stack.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bopscount {

/// Shape of up to `capacity` sizes. Higher ranks are left to the framework.
struct Dims {
  static constexpr std::size_t capacity = 12;

  std::array<std::int64_t, capacity> size{}; ///< sizes; those from `rank` on are unused
  std::size_t rank = 0;                      ///< number of dimensions

  std::int64_t operator[](std::size_t i) const { return size[i]; }
  std::int64_t &operator[](std::size_t i) { return size[i]; }
  /// Append a size; the caller ensures that there is room.
  void push(std::int64_t value) { size[rank++] = value; }
  const std::int64_t *begin() const { return size.data(); }
  const std::int64_t *end() const { return size.data() + rank; }

  /// Return the product of the sizes in [first, last), 1 for none.
  /// Sizes come from existing tensors, so their product fits.
  std::int64_t elements(std::size_t first, std::size_t last) const {
    std::int64_t product = 1;
    for (std::size_t i = first; i < last; ++i) product *= size[i];
    return product;
  }
  /// Return the product of all sizes.
  std::int64_t elements() const { return elements(0, rank); }

  bool operator==(const Dims &other) const {
    if (rank != other.rank) return false;
    for (std::size_t i = 0; i < rank; ++i)
      if (size[i] != other.size[i]) return false;
    return true;
  }
};

} // namespace bopscount
