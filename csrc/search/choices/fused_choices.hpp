/// Fast path of sums over choices: neighbouring slots are fused into one lookup.
///
/// Two slots of 9 alternatives form one group of 81 rows, so 21 slots take 11 lookups. A row
/// holds four metrics, one vector addition; further metrics have further tables of such rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "search/choices/choice_array.hpp"

namespace bopscount {

class ChoiceTable;

/// Fused rows of a choice table.
class FusedChoices {
public:
  /// Metrics per row.
  static constexpr std::size_t row_width = 4;
  /// Costs of four metrics, added in one instruction if there is one.
  using Row = std::int64_t __attribute__((vector_size(row_width * sizeof(std::int64_t))));
  /// Groups per vector.
  static constexpr std::size_t lanes = 16;
  /// Pairs of choices of 16 groups, two bytes each.
  using Lanes = std::uint16_t __attribute__((vector_size(lanes * sizeof(std::uint16_t))));

  /// Return the fused rows of a table, or null if the table is too large for 16-bit indices or a
  /// slot has over 255 alternatives.
  static std::unique_ptr<const FusedChoices> make(const ChoiceTable &table);

  /// Write the sums of candidates [begin, end); no sum may exceed 64 bits. `refuse` is called
  /// with the range of a block that contains an impossible choice, and must throw.
  void count(const ChoiceArray &choices, std::size_t begin, std::size_t end,
             std::span<std::int64_t *const> sums, bool use_processor_extensions,
             const std::function<void(std::size_t, std::size_t)> &refuse) const;

private:
  /// Offset to the next group for an impossible choice.
  static constexpr std::uint32_t dead_end = UINT32_MAX;

  /// Wrapper of a vector for std::vector, whose allocator loses the alignment of a bare one.
  template <class Vector> struct Held {
    alignas(sizeof(Vector)) Vector vector{};
  };

  /// One slot, or two neighbouring slots.
  struct Group {
    std::size_t first_slot;
    std::size_t n_slots;
    std::size_t first_row;
    std::size_t n_states;
    std::size_t rows_a_state;
  };
  struct Kernel;

  bool plan(const ChoiceTable &table, std::size_t largest_group);
  void fill(const ChoiceTable &table);
  void set_lanes(const ChoiceTable &table);

  std::vector<Group> groups_;
  std::size_t n_rows_ = 0;
  std::size_t n_metrics_ = 0;
  bool has_states_ = false;
  std::vector<Held<Row>> rows_; ///< n_rows_ rows per four metrics; the last row is all zeros
  /// Offsets to the next group's index, one per row; only if there are states.
  std::vector<std::uint32_t> next_offsets_;
  /// Row of each group, by lane: base + low byte * factor + (high byte & mask). Rows are indexed
  /// by their first cost, row * row_width, because processors scale by 8 but not by 32.
  std::vector<Held<Lanes>> factor_, mask_, base_, last_low_, last_high_;
  std::vector<std::size_t> byte_of_slot_;
  bool bytes_as_given_ = false; ///< slot s is byte s
};

} // namespace bopscount
