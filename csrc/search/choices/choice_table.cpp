#include "search/choices/choice_table.hpp"

#include <algorithm>
#include <utility>

#include "core/exact.hpp"
#include "search/choices/fused_choices.hpp"

namespace bopscount {

ChoiceTable::ChoiceTable(std::vector<ChoiceSlot> slots, std::vector<std::int64_t> costs,
                         std::vector<std::int32_t> next_states, std::size_t n_metrics)
    : slots_(std::move(slots)), costs_(std::move(costs)), next_states_(std::move(next_states)),
      n_metrics_(n_metrics) {
  check();
  if (fits_64_bits()) fused_ = FusedChoices::make(*this);
}

ChoiceTable::~ChoiceTable() = default;

void ChoiceTable::check() const {
  if (costs_.size() != n_rows() * n_metrics_)
    throw std::invalid_argument("costs must have n_metrics values a row");
  if (!slots_.empty() && slots_.front().n_states != 1)
    throw std::invalid_argument("the first slot must have one state");
  std::size_t row = 0;
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    const auto &[n_states, n_choices, first_row] = slots_[slot];
    const std::size_t n_next = slot + 1 < slots_.size() ? slots_[slot + 1].n_states : 1;
    if (n_states == 0 || n_choices == 0 || first_row != row ||
        n_choices > (n_rows() - row) / n_states)
      throw std::invalid_argument("the slots must share out the rows");
    for (const std::size_t end = row + n_states * n_choices; row < end; ++row)
      if (next_states_[row] != no_state &&
          (next_states_[row] < 0 || static_cast<std::size_t>(next_states_[row]) >= n_next))
        throw std::invalid_argument("next_states must be states of the next slot, or -1");
  }
  if (row != n_rows()) throw std::invalid_argument("the slots must share out the rows");
  if (std::any_of(costs_.begin(), costs_.end(), [](std::int64_t cost) { return cost < 0; }))
    throw std::invalid_argument("costs must not be negative");
}

bool ChoiceTable::fits_64_bits() const {
  for (std::size_t metric = 0; metric < n_metrics_; ++metric) {
    Int128 bound = 0;
    for (const auto &[n_states, n_choices, first_row] : slots_) {
      std::int64_t largest = 0;
      for (std::size_t row = first_row; row < first_row + n_states * n_choices; ++row)
        largest = std::max(largest, costs(row)[metric]);
      bound += largest;
    }
    if (bound > INT64_MAX) return false;
  }
  return true;
}

void ChoiceTable::count(const ChoiceArray &choices, std::size_t begin, std::size_t end,
                        std::span<std::int64_t *const> sums, ChoiceKernel kernel) const {
  if (fused_ == nullptr || kernel == ChoiceKernel::walk) return walk(choices, begin, end, sums);
  fused_->count(choices, begin, end, sums, kernel == ChoiceKernel::best,
                [&](std::size_t first, std::size_t last) { walk(choices, first, last, sums); });
}

void ChoiceTable::walk(const ChoiceArray &choices, std::size_t begin, std::size_t end,
                       std::span<std::int64_t *const> sums) const {
  std::vector<std::int64_t> total(n_metrics_);
  with_reader(choices, [&](auto read) {
    for (std::size_t candidate = begin; candidate < end; ++candidate) {
      std::fill(total.begin(), total.end(), 0);
      std::size_t state = 0;
      for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
        const auto value = read(choices.at(candidate, slot));
        const auto &[n_states, n_choices, first_row] = slots_[slot];
        if (std::cmp_less(value, 0) || std::cmp_greater_equal(value, n_choices))
          throw ChoiceError(candidate, slot, std::to_string(value), no_state);
        const std::size_t row = first_row + state * n_choices + static_cast<std::size_t>(value);
        if (next_states_[row] == no_state)
          throw ChoiceError(candidate, slot, std::to_string(value),
                            static_cast<std::int32_t>(state));
        for (std::size_t metric = 0; metric < n_metrics_; ++metric)
          if (__builtin_add_overflow(total[metric], costs(row)[metric], &total[metric]))
            throw ChoiceOverflow(candidate, metric);
        state = static_cast<std::size_t>(next_states_[row]);
      }
      for (std::size_t metric = 0; metric < n_metrics_; ++metric)
        sums[metric][candidate] = total[metric];
    }
  });
}

} // namespace bopscount
