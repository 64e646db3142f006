// Loops of FusedChoices, one source for all instruction sets.
#include <algorithm>
#include <bit>
#include <concepts>
#include <cstring>
#include <type_traits>

#include "search/choices/choice_table.hpp"
#include "search/choices/fused_choices.hpp"

namespace bopscount {
namespace {

constexpr std::size_t block_size = 64;
constexpr std::size_t unroll = 4;

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Return the largest valid byte that elements of type T can hold.
template <std::integral T> constexpr auto largest_byte() {
  using Unsigned = std::make_unsigned_t<T>;
  return static_cast<Unsigned>(std::is_signed_v<T> && sizeof(T) == 1 ? INT8_MAX : UINT8_MAX);
}

} // namespace

struct FusedChoices::Kernel {
  using Sums = std::span<std::int64_t *const>;
  using Run = bool (*)(Kernel &, std::size_t, std::size_t, Sums);

  const FusedChoices &fused;
  const ChoiceArray &choices;
  std::size_t n_vectors, n_groups;
  std::size_t padded;                 ///< bytes of a candidate, in whole vectors
  std::vector<std::uint8_t> bytes;    ///< choices of a block that cannot be read in place
  std::vector<std::uint16_t> indices; ///< rows of each candidate

  Kernel(const FusedChoices &fused_, const ChoiceArray &choices_)
      : fused(fused_), choices(choices_), n_vectors(fused_.factor_.size()),
        n_groups(round_up(fused_.groups_.size(), unroll)), padded(n_vectors * sizeof(Lanes)),
        bytes(block_size * padded + padded), indices(block_size * n_vectors * lanes) {}

  /// Return the loops for this processor.
  static Run pick(bool use_processor_extensions) {
#if defined(__x86_64__)
    if (use_processor_extensions && __builtin_cpu_supports("avx2")) return &run_avx2;
#endif
    (void)use_processor_extensions;
    return &run_portable;
  }

  /// Write the sums of [first, last). Return false if some choice is impossible.
  [[gnu::always_inline]] inline bool run(std::size_t first, std::size_t last, Sums sums) {
    const std::uint8_t *from = bytes.data();
    auto stride = static_cast<std::ptrdiff_t>(padded);
    if (lie_right(last)) {
      from = reinterpret_cast<const std::uint8_t *>(choices.at(first, 0));
      stride = choices.candidate_stride;
    } else if (!gather(first, last)) {
      return false;
    } else if (fused.bytes_as_given_) {
      stride = static_cast<std::ptrdiff_t>(choices.n_slots);
    }
    const std::size_t n_candidates = last - first;
    if (!find_rows(from, stride, n_candidates)) return false;
    if (fused.has_states_ && !follow_states(n_candidates)) return false;
    for (std::size_t metric = 0; metric < sums.size(); metric += row_width)
      add_rows(n_candidates, metric, sums, first);
    return true;
  }

  /// Return whether the candidates before `last` can be read in place. Whole vectors are read,
  /// past the end of a candidate but not past the end of the array.
  bool lie_right(std::size_t last) const {
    if (!fused.bytes_as_given_ || choices.item_bytes != 1 || choices.is_signed ||
        choices.slot_stride != 1 || choices.candidate_stride < 0)
      return false;
    const std::byte *end = choices.at(choices.n_candidates - 1, choices.n_slots);
    return static_cast<std::size_t>(end - choices.at(last - 1, 0)) >= padded;
  }

  /// Fill `bytes`. Return false if some choice does not fit into a byte.
  [[gnu::always_inline]] inline bool gather(std::size_t first, std::size_t last) {
    bool all_bytes = true;
    const auto gather_as = [&](auto read) __attribute__((always_inline)) {
      using T = decltype(read(choices.data));
      std::make_unsigned_t<T> seen = 0;
      if (fused.bytes_as_given_ && choices.slot_stride == sizeof(T)) {
        if (choices.candidate_stride == static_cast<std::ptrdiff_t>(choices.n_slots * sizeof(T))) {
          seen |=
              narrow(read, choices.at(first, 0), (last - first) * choices.n_slots, bytes.data());
        } else {
          for (std::size_t candidate = first; candidate < last; ++candidate)
            seen |= narrow(read, choices.at(candidate, 0), choices.n_slots,
                           bytes.data() + (candidate - first) * choices.n_slots);
        }
      } else {
        const std::size_t stride = fused.bytes_as_given_ ? choices.n_slots : padded;
        for (std::size_t slot = 0; slot < choices.n_slots; ++slot) {
          const std::byte *from = choices.at(first, slot);
          std::uint8_t *to = bytes.data() + fused.byte_of_slot_[slot];
          for (std::size_t i = first; i < last; ++i, to += stride) {
            const auto value = static_cast<std::make_unsigned_t<T>>(read(from));
            seen |= value;
            *to = static_cast<std::uint8_t>(value);
            from += choices.candidate_stride;
          }
        }
      }
      all_bytes = seen <= largest_byte<T>();
    };
    with_reader(choices, gather_as);
    return all_bytes;
  }

  /// Write the lowest bytes of contiguous elements. Return the bitwise or of the elements.
  template <class Read>
  [[gnu::always_inline]] static inline auto narrow(Read read, const std::byte *from,
                                                   std::size_t n_elements, std::uint8_t *to) {
    using T = decltype(read(from));
    std::make_unsigned_t<T> seen = 0;
    for (std::size_t i = 0; i < n_elements; ++i) {
      const auto value = static_cast<std::make_unsigned_t<T>>(read(from + i * sizeof(T)));
      seen |= value;
      to[i] = static_cast<std::uint8_t>(value);
    }
    return seen;
  }

  [[gnu::always_inline]] inline bool find_rows(const std::uint8_t *candidates,
                                               std::ptrdiff_t stride, std::size_t n_candidates) {
    Lanes wrong{}; // the highest bit of a lane is set for a choice out of range
    for (std::size_t vector = 0; vector < n_vectors; ++vector) {
      const Lanes factor = fused.factor_[vector].vector, mask = fused.mask_[vector].vector,
                  base = fused.base_[vector].vector, last_low = fused.last_low_[vector].vector,
                  last_high = fused.last_high_[vector].vector;
      const std::uint8_t *from = candidates + vector * sizeof(Lanes);
      std::uint16_t *to = indices.data() + vector * lanes;
      for (std::size_t i = 0; i < n_candidates; ++i, from += stride, to += n_vectors * lanes) {
        Lanes pairs;
        std::memcpy(&pairs, from, sizeof pairs);
        const Lanes low = pairs & 0xff, high = pairs >> 8;
        wrong |= (last_low - low) | (last_high - high);
        const Lanes rows = (base + low * factor + (high & mask)) * row_width;
        std::memcpy(to, &rows, sizeof rows);
      }
    }
    std::uint16_t any = 0;
    for (std::size_t lane = 0; lane < lanes; ++lane) any |= wrong[lane];
    return any >> 15 == 0;
  }

  /// Move `indices` from the rows of state 0 to those of each group's state. Return false if
  /// some choice is impossible.
  [[gnu::always_inline]] inline bool follow_states(std::size_t n_candidates) {
    const std::uint32_t *next = fused.next_offsets_.data();
    for (std::size_t i = 0; i < n_candidates; ++i) {
      std::uint16_t *rows = indices.data() + i * n_vectors * lanes;
      std::uint32_t offset = 0;
      for (std::size_t group = 0; group < fused.groups_.size(); ++group) {
        const std::uint32_t row = rows[group] + offset;
        rows[group] = static_cast<std::uint16_t>(row);
        offset = next[row / row_width];
        if (offset == dead_end) return false;
      }
    }
    return true;
  }

  [[gnu::always_inline]] static inline const Row &row_at(const char *table, std::uint16_t index) {
    return *reinterpret_cast<const Row *>(table + sizeof(std::int64_t) * index);
  }

  /// Add up the rows of one candidate.
  [[gnu::always_inline]] inline void add_up(std::size_t candidate, const char *table,
                                            Row &total) const {
    const std::uint16_t *rows = indices.data() + candidate * n_vectors * lanes;
    Row even{}, odd{};
    for (std::size_t group = 0; group < n_groups; group += unroll) {
      even += row_at(table, rows[group]);
      odd += row_at(table, rows[group + 1]);
      even += row_at(table, rows[group + 2]);
      odd += row_at(table, rows[group + 3]);
    }
    total = even + odd;
  }

  /// Write the sums of up to four metrics, from `metric` on.
  [[gnu::always_inline]] inline void add_rows(std::size_t n_candidates, std::size_t metric,
                                              Sums sums, std::size_t begin) const {
    const auto *table =
        reinterpret_cast<const char *>(fused.rows_.data() + metric / row_width * fused.n_rows_);
    const std::size_t n_columns = std::min(row_width, sums.size() - metric);
    std::size_t i = 0;
    if (n_columns == row_width) {
      std::int64_t *const to[row_width] = {sums[metric] + begin, sums[metric + 1] + begin,
                                           sums[metric + 2] + begin, sums[metric + 3] + begin};
      for (; i + row_width <= n_candidates; i += row_width) {
        // Transpose four candidates of four metrics.
        Row a, b, c, d;
        add_up(i, table, a);
        add_up(i + 1, table, b);
        add_up(i + 2, table, c);
        add_up(i + 3, table, d);
        const Row even_ab = __builtin_shufflevector(a, b, 0, 4, 2, 6);
        const Row odd_ab = __builtin_shufflevector(a, b, 1, 5, 3, 7);
        const Row even_cd = __builtin_shufflevector(c, d, 0, 4, 2, 6);
        const Row odd_cd = __builtin_shufflevector(c, d, 1, 5, 3, 7);
        a = __builtin_shufflevector(even_ab, even_cd, 0, 1, 4, 5);
        b = __builtin_shufflevector(odd_ab, odd_cd, 0, 1, 4, 5);
        c = __builtin_shufflevector(even_ab, even_cd, 2, 3, 6, 7);
        d = __builtin_shufflevector(odd_ab, odd_cd, 2, 3, 6, 7);
        std::memcpy(to[0] + i, &a, sizeof a);
        std::memcpy(to[1] + i, &b, sizeof b);
        std::memcpy(to[2] + i, &c, sizeof c);
        std::memcpy(to[3] + i, &d, sizeof d);
      }
    }
    for (; i < n_candidates; ++i) {
      Row total;
      add_up(i, table, total);
      for (std::size_t column = 0; column < n_columns; ++column)
        sums[metric + column][begin + i] = total[column];
    }
  }

  static bool run_portable(Kernel &kernel, std::size_t first, std::size_t last, Sums sums) {
    return kernel.run(first, last, sums);
  }
#if defined(__x86_64__)
  [[gnu::target("avx2")]] static bool run_avx2(Kernel &kernel, std::size_t first, std::size_t last,
                                               Sums sums) {
    return kernel.run(first, last, sums);
  }
#endif
};

void FusedChoices::count(const ChoiceArray &choices, std::size_t begin, std::size_t end,
                         std::span<std::int64_t *const> sums, bool use_processor_extensions,
                         const std::function<void(std::size_t, std::size_t)> &refuse) const {
  Kernel kernel(*this, choices);
  const Kernel::Run run = Kernel::pick(use_processor_extensions);
  for (std::size_t first = begin; first < end; first += block_size) {
    const std::size_t last = std::min(first + block_size, end);
    if (!run(kernel, first, last, sums)) refuse(first, last);
  }
}

} // namespace bopscount
