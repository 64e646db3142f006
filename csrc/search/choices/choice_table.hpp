/// Slots with alternatives and their costs, and sums over candidates' choices.
///
/// A network is a chain of slots. The cost of an alternative may depend on the input shape of
/// its slot, so a slot has one state per shape, and each choice leads to a state of the next
/// slot. Slot 0 has one state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "search/choices/choice_array.hpp"

namespace bopscount {

class FusedChoices;

/// Part of the table for one slot: a row per (state, choice), state by state.
struct ChoiceSlot {
  std::size_t n_states;
  std::size_t n_choices;
  std::size_t first_row; ///< index in the table
};

/// Next state of a choice that is impossible in its state.
inline constexpr std::int32_t no_state = -1;

/// Error of an impossible choice: out of range, or not available in the slot's state.
class ChoiceError : public std::invalid_argument {
public:
  ChoiceError(std::size_t candidate_, std::size_t slot_, std::string value_, std::int32_t state_)
      : std::invalid_argument("candidate " + std::to_string(candidate_) + ", slot " +
                              std::to_string(slot_) + ": there is no choice " + value_),
        candidate(candidate_), slot(slot_), value(std::move(value_)), state(state_) {}
  std::size_t candidate;
  std::size_t slot;
  std::string value;  ///< the choice, in decimal
  std::int32_t state; ///< no_state if the choice is out of range in every state
};

/// Error of a candidate's sum over 2^63 - 1.
class ChoiceOverflow : public std::overflow_error {
public:
  ChoiceOverflow(std::size_t candidate_, std::size_t metric_)
      : std::overflow_error("candidate " + std::to_string(candidate_) +
                            ": a sum is over 2**63 - 1"),
        candidate(candidate_), metric(metric_) {}
  std::size_t candidate;
  std::size_t metric;
};

/// Implementation of the sums.
enum class ChoiceKernel : std::uint8_t {
  best,     ///< the fastest one for this table and processor
  portable, ///< fused rows, on any processor
  walk,     ///< slot by slot, every sum checked
};

/// Costs of alternatives, and sums over candidates' choices.
class ChoiceTable {
public:
  /// `costs` has `n_metrics` non-negative values per row, `next_states` one value per row.
  /// Throws std::invalid_argument if the parts do not fit together.
  ChoiceTable(std::vector<ChoiceSlot> slots, std::vector<std::int64_t> costs,
              std::vector<std::int32_t> next_states, std::size_t n_metrics);
  ~ChoiceTable();
  ChoiceTable(const ChoiceTable &) = delete;
  ChoiceTable &operator=(const ChoiceTable &) = delete;

  /// Write the sums of candidates [begin, end) to sums[metric][candidate].
  /// Throws ChoiceError or ChoiceOverflow for the first candidate that has one.
  void count(const ChoiceArray &choices, std::size_t begin, std::size_t end,
             std::span<std::int64_t *const> sums, ChoiceKernel kernel = ChoiceKernel::best) const;

  const std::vector<ChoiceSlot> &slots() const { return slots_; }
  std::size_t n_metrics() const { return n_metrics_; }
  std::size_t n_rows() const { return next_states_.size(); }
  /// Return the next state of a row, or no_state.
  std::int32_t next_state(std::size_t row) const { return next_states_[row]; }
  /// Return the `n_metrics` costs of a row.
  const std::int64_t *costs(std::size_t row) const { return costs_.data() + row * n_metrics_; }
  /// Return whether no sum over any choices can exceed 2^63 - 1.
  bool fits_64_bits() const;
  /// Return whether there are fused rows, which all kernels but `walk` need.
  bool is_fused() const { return fused_ != nullptr; }

private:
  void check() const;
  void walk(const ChoiceArray &choices, std::size_t begin, std::size_t end,
            std::span<std::int64_t *const> sums) const;

  std::vector<ChoiceSlot> slots_;
  std::vector<std::int64_t> costs_;
  std::vector<std::int32_t> next_states_;
  std::size_t n_metrics_;
  std::unique_ptr<const FusedChoices> fused_;
};

} // namespace bopscount
