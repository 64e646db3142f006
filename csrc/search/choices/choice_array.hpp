/// Candidates of a choice search in memory, of any integer type and any strides.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace bopscount {

/// Array of chosen alternatives, indexed by (candidate, slot). Elements need not be aligned.
struct ChoiceArray {
  const std::byte *data = nullptr;     ///< element (0, 0)
  std::ptrdiff_t candidate_stride = 0; ///< bytes
  std::ptrdiff_t slot_stride = 0;      ///< bytes
  std::size_t n_candidates = 0;
  std::size_t n_slots = 0;
  std::uint8_t item_bytes = 1; ///< 1, 2, 4 or 8
  bool is_signed = false;
  bool swapped = false; ///< whether bytes are in non-native order

  /// Return the address of an element.
  const std::byte *at(std::size_t candidate, std::size_t slot) const {
    return data + static_cast<std::ptrdiff_t>(candidate) * candidate_stride +
           static_cast<std::ptrdiff_t>(slot) * slot_stride;
  }
};

/// Reader of elements of type T; reverses the bytes of a swapped array.
template <std::integral T, bool swapped> struct ChoiceReader {
  T operator()(const std::byte *element) const {
    T value;
    if constexpr (swapped) {
      std::array<std::byte, sizeof(T)> bytes;
      std::reverse_copy(element, element + sizeof(T), bytes.begin());
      std::memcpy(&value, bytes.data(), sizeof(T));
    } else {
      std::memcpy(&value, element, sizeof(T));
    }
    return value;
  }
};

/// Call `use` with the reader of the array's element type.
template <class Use>
[[gnu::always_inline]] inline void with_reader(const ChoiceArray &choices, Use &&use) {
  const auto pick = [&]<class Signed, class Unsigned>(Signed,
                                                      Unsigned) __attribute__((always_inline)) {
    if (choices.swapped) {
      choices.is_signed ? use(ChoiceReader<Signed, true>{}) : use(ChoiceReader<Unsigned, true>{});
    } else {
      choices.is_signed ? use(ChoiceReader<Signed, false>{}) : use(ChoiceReader<Unsigned, false>{});
    }
  };
  switch (choices.item_bytes) {
  case 1: return pick(std::int8_t{}, std::uint8_t{});
  case 2: return pick(std::int16_t{}, std::uint16_t{});
  case 4: return pick(std::int32_t{}, std::uint32_t{});
  case 8: return pick(std::int64_t{}, std::uint64_t{});
  default: throw std::invalid_argument("choices must have elements of 1, 2, 4 or 8 bytes");
  }
}

} // namespace bopscount
