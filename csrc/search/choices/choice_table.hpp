/// Slots with alternatives, what each costs, and sums over what candidates choose.
///
/// A network is a chain of slots. What an alternative costs may depend on the shape that
/// reaches its slot, so a slot has states, one a shape, and each choice leads to a state of
/// the next slot. Slot 0 has one state.
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

/// The table's part of one slot: a row for each pair of state and choice, states first.
struct ChoiceSlot {
  std::size_t n_states;
  std::size_t n_choices;
  std::size_t first_row;
};

/// The next state of a choice that cannot be made in its state.
inline constexpr std::int32_t no_state = -1;

/// A choice that cannot be made: out of range, or not in the state that the slot is in.
class ChoiceError : public std::invalid_argument {
public:
  ChoiceError(std::size_t candidate_, std::size_t slot_, std::string value_, std::int32_t state_)
      : std::invalid_argument("candidate " + std::to_string(candidate_) + ", slot " +
                              std::to_string(slot_) + ": there is no choice " + value_),
        candidate(candidate_), slot(slot_), value(std::move(value_)), state(state_) {}
  std::size_t candidate;
  std::size_t slot;
  std::string value;  ///< the choice, in decimal
  std::int32_t state; ///< no_state if the choice is out of range whatever the state
};

/// A candidate whose sum is over 2^63 - 1.
class ChoiceOverflow : public std::overflow_error {
public:
  ChoiceOverflow(std::size_t candidate_, std::size_t metric_)
      : std::overflow_error("candidate " + std::to_string(candidate_) +
                            ": a sum is over 2**63 - 1"),
        candidate(candidate_), metric(metric_) {}
  std::size_t candidate;
  std::size_t metric;
};

/// How the sums are computed.
enum class ChoiceKernel : std::uint8_t {
  best,     ///< the fastest that this table and this processor allow
  portable, ///< fused rows, whatever the processor
  walk,     ///< slot by slot, every sum checked
};

class ChoiceTable {
public:
  /// `costs` has `n_metrics` non-negative values a row, `next_states` one value a row.
  /// Throws std::invalid_argument if the parts do not fit together.
  ChoiceTable(std::vector<ChoiceSlot> slots, std::vector<std::int64_t> costs,
              std::vector<std::int32_t> next_states, std::size_t n_metrics);
  ~ChoiceTable();
  ChoiceTable(const ChoiceTable &) = delete;
  ChoiceTable &operator=(const ChoiceTable &) = delete;

  /// Writes the sums of candidates [begin, end) to sums[metric][candidate].
  /// Throws ChoiceError or ChoiceOverflow about the first candidate that has one.
  void count(const ChoiceArray &choices, std::size_t begin, std::size_t end,
             std::span<std::int64_t *const> sums, ChoiceKernel kernel = ChoiceKernel::best) const;

  const std::vector<ChoiceSlot> &slots() const { return slots_; }
  std::size_t n_metrics() const { return n_metrics_; }
  std::size_t n_rows() const { return next_states_.size(); }
  std::int32_t next_state(std::size_t row) const { return next_states_[row]; }
  const std::int64_t *costs(std::size_t row) const { return costs_.data() + row * n_metrics_; }
  /// Whether no sum over any choices can pass 2^63 - 1.
  bool fits_64_bits() const;
  /// Whether there are fused rows, which all kernels but `walk` need.
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
