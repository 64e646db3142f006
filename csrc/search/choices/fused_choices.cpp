#include "search/choices/fused_choices.hpp"

#include <algorithm>
#include <bit>

#include "search/choices/choice_table.hpp"

namespace bopscount {
namespace {

/// Most rows of a group of two slots; more would crowd the second-level cache.
constexpr std::size_t pair_rows = 2048;
/// Most rows whose costs 16 bits can index.
constexpr std::size_t max_rows = (std::size_t{1} << 16) / FusedChoices::row_width;
constexpr std::size_t max_choices = 255; ///< so that 255 itself is out of range everywhere

} // namespace

std::unique_ptr<const FusedChoices> FusedChoices::make(const ChoiceTable &table) {
  auto fused = std::make_unique<FusedChoices>();
  if (table.slots().empty() || table.n_metrics() == 0) return nullptr;
  if (!fused->plan(table, pair_rows) && !fused->plan(table, 0)) return nullptr;
  fused->fill(table);
  fused->set_lanes(table);
  return fused;
}

/// Pair slots if the pair has at most `largest_group` rows. Return false if the table does not
/// fit.
bool FusedChoices::plan(const ChoiceTable &table, std::size_t largest_group) {
  const auto &slots = table.slots();
  groups_.clear();
  n_rows_ = 0;
  for (std::size_t slot = 0; slot < slots.size();) {
    if (slots[slot].n_choices > max_choices) return false;
    Group group{slot, 1, n_rows_, slots[slot].n_states, slots[slot].n_choices};
    if (slot + 1 < slots.size()) {
      const std::size_t paired = group.rows_a_state * slots[slot + 1].n_choices;
      if (group.n_states * paired <= largest_group) {
        group.n_slots = 2;
        group.rows_a_state = paired;
      }
    }
    n_rows_ += group.n_states * group.rows_a_state;
    if (n_rows_ >= max_rows) return false;
    groups_.push_back(group);
    slot += group.n_slots;
  }
  ++n_rows_; // the row of zeros
  return true;
}

void FusedChoices::fill(const ChoiceTable &table) {
  n_metrics_ = table.n_metrics();
  const std::size_t n_tables = (n_metrics_ + row_width - 1) / row_width;
  rows_.assign(n_tables * n_rows_, {});
  const auto &slots = table.slots();
  has_states_ =
      std::any_of(slots.begin(), slots.end(), [](auto &slot) { return slot.n_states > 1; });
  for (std::size_t row = 0; row < table.n_rows(); ++row)
    has_states_ = has_states_ || table.next_state(row) == no_state;
  if (has_states_) next_offsets_.assign(n_rows_, 0);
  const auto add = [&](std::size_t row, std::size_t part) {
    for (std::size_t metric = 0; metric < n_metrics_; ++metric)
      rows_[metric / row_width * n_rows_ + row].vector[metric % row_width] +=
          table.costs(part)[metric];
  };
  for (std::size_t index = 0; index < groups_.size(); ++index) {
    const Group &group = groups_[index];
    const ChoiceSlot &first = slots[group.first_slot];
    const std::size_t n_seconds = group.n_slots == 2 ? slots[group.first_slot + 1].n_choices : 1;
    for (std::size_t row = 0; row < group.n_states * group.rows_a_state; ++row) {
      std::size_t part = first.first_row + row / n_seconds;
      std::int32_t state = table.next_state(part);
      add(group.first_row + row, part);
      if (group.n_slots == 2 && state != no_state) {
        const ChoiceSlot &second = slots[group.first_slot + 1];
        part =
            second.first_row + static_cast<std::size_t>(state) * second.n_choices + row % n_seconds;
        state = table.next_state(part);
        add(group.first_row + row, part);
      }
      if (!has_states_) continue;
      const std::size_t next_size =
          index + 1 < groups_.size() ? groups_[index + 1].rows_a_state : 0;
      next_offsets_[group.first_row + row] =
          state == no_state
              ? dead_end
              : static_cast<std::uint32_t>(static_cast<std::size_t>(state) * next_size * row_width);
    }
  }
}

void FusedChoices::set_lanes(const ChoiceTable &table) {
  const std::size_t n_vectors = (groups_.size() + lanes - 1) / lanes;
  const auto zero_row = static_cast<std::uint16_t>(n_rows_ - 1);
  const Lanes none{}, all = ~none;
  factor_.assign(n_vectors, {none});
  mask_.assign(n_vectors, {none});
  base_.assign(n_vectors, {none + zero_row});
  // Lanes without a group hold bytes after the candidate, which may have any value.
  last_low_.assign(n_vectors, {all >> 8});
  last_high_.assign(n_vectors, {all >> 8});
  const std::size_t low_byte = std::endian::native == std::endian::little ? 0 : 1;
  byte_of_slot_.assign(table.slots().size(), 0);
  for (std::size_t index = 0; index < groups_.size(); ++index) {
    const Group &group = groups_[index];
    const std::size_t at = index / lanes, lane = index % lanes;
    const auto last = [&](std::size_t slot) {
      return static_cast<std::uint16_t>(table.slots()[slot].n_choices - 1);
    };
    base_[at].vector[lane] = static_cast<std::uint16_t>(group.first_row);
    last_low_[at].vector[lane] = last(group.first_slot);
    factor_[at].vector[lane] = 1;
    byte_of_slot_[group.first_slot] = 2 * index + low_byte;
    if (group.n_slots == 1) continue;
    last_high_[at].vector[lane] = last(group.first_slot + 1);
    factor_[at].vector[lane] = static_cast<std::uint16_t>(last_high_[at].vector[lane] + 1);
    mask_[at].vector[lane] = 0xff;
    byte_of_slot_[group.first_slot + 1] = 2 * index + (1 - low_byte);
  }
  bytes_as_given_ = true;
  for (std::size_t slot = 0; slot < byte_of_slot_.size(); ++slot)
    bytes_as_given_ = bytes_as_given_ && byte_of_slot_[slot] == slot;
}

} // namespace bopscount
