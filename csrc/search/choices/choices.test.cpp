#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "search/choices/choice_table.hpp"

using bopscount::ChoiceArray;
using bopscount::ChoiceError;
using bopscount::ChoiceKernel;
using bopscount::ChoiceOverflow;
using bopscount::ChoiceSlot;
using bopscount::ChoiceTable;

namespace {

constexpr std::array kernels = {ChoiceKernel::best, ChoiceKernel::portable, ChoiceKernel::walk};

/// Arguments of a table, with random costs and transitions.
struct Parts {
  std::vector<ChoiceSlot> slots;
  std::vector<std::int64_t> costs;
  std::vector<std::int32_t> next_states;
  std::size_t n_metrics;
};

Parts random_parts(std::mt19937 &random, const std::vector<std::size_t> &n_choices,
                   const std::vector<std::size_t> &n_states, std::size_t n_metrics) {
  Parts parts{{}, {}, {}, n_metrics};
  for (std::size_t slot = 0; slot < n_choices.size(); ++slot) {
    parts.slots.push_back({n_states[slot], n_choices[slot], parts.next_states.size()});
    const std::size_t n_next = slot + 1 < n_states.size() ? n_states[slot + 1] : 1;
    for (std::size_t row = 0; row < n_states[slot] * n_choices[slot]; ++row) {
      parts.next_states.push_back(static_cast<std::int32_t>(random() % n_next));
      for (std::size_t metric = 0; metric < n_metrics; ++metric)
        parts.costs.push_back(static_cast<std::int64_t>(random()) << 20);
    }
  }
  return parts;
}

ChoiceTable table_of(const Parts &parts) {
  return {parts.slots, parts.costs, parts.next_states, parts.n_metrics};
}

template <class T> ChoiceArray rows_of(const std::vector<T> &values, std::size_t n_slots) {
  ChoiceArray choices;
  choices.data = reinterpret_cast<const std::byte *>(values.data());
  choices.slot_stride = sizeof(T);
  choices.candidate_stride = static_cast<std::ptrdiff_t>(n_slots * sizeof(T));
  choices.n_slots = n_slots;
  choices.n_candidates = n_slots == 0 ? 0 : values.size() / n_slots;
  choices.item_bytes = sizeof(T);
  choices.is_signed = std::is_signed_v<T>;
  return choices;
}

/// Return the sums of all candidates, metric after metric.
std::vector<std::int64_t> sums_of(const ChoiceTable &table, const ChoiceArray &choices,
                                  ChoiceKernel kernel) {
  std::vector<std::int64_t> values(table.n_metrics() * choices.n_candidates, -1);
  std::vector<std::int64_t *> sums;
  for (std::size_t metric = 0; metric < table.n_metrics(); ++metric)
    sums.push_back(values.data() + metric * choices.n_candidates);
  table.count(choices, 0, choices.n_candidates, sums, kernel);
  return values;
}

/// Return the sums from the definition, metric after metric.
std::vector<std::int64_t> expected_sums(const Parts &parts,
                                        const std::vector<std::size_t> &choices) {
  const std::size_t n_slots = parts.slots.size(), n_candidates = choices.size() / n_slots;
  std::vector<std::int64_t> values(parts.n_metrics * n_candidates, 0);
  for (std::size_t candidate = 0; candidate < n_candidates; ++candidate) {
    std::size_t state = 0;
    for (std::size_t slot = 0; slot < n_slots; ++slot) {
      const ChoiceSlot &about = parts.slots[slot];
      const std::size_t row =
          about.first_row + state * about.n_choices + choices[candidate * n_slots + slot];
      for (std::size_t metric = 0; metric < parts.n_metrics; ++metric)
        values[metric * n_candidates + candidate] += parts.costs[row * parts.n_metrics + metric];
      state = static_cast<std::size_t>(parts.next_states[row]);
    }
  }
  return values;
}

template <class T> void check_as(const Parts &parts, const std::vector<std::size_t> &choices) {
  const std::vector<T> values(choices.begin(), choices.end());
  const ChoiceTable table = table_of(parts);
  const auto expected = expected_sums(parts, choices);
  for (const ChoiceKernel kernel : kernels)
    CHECK(sums_of(table, rows_of(values, parts.slots.size()), kernel) == expected);
}

} // namespace

TEST_CASE("all kernels give the sums of the definition, for every element type") {
  std::mt19937 random(5);
  for (const std::size_t n_slots : {1, 2, 3, 15, 31, 32, 33, 70}) {
    for (const std::size_t max_states : {1, 3}) {
      std::vector<std::size_t> n_choices, n_states;
      for (std::size_t slot = 0; slot < n_slots; ++slot) {
        n_choices.push_back(1 + random() % 9);
        n_states.push_back(slot == 0 ? 1 : 1 + random() % max_states);
      }
      const std::size_t n_metrics = 1 + random() % 9;
      const Parts parts = random_parts(random, n_choices, n_states, n_metrics);
      for (const std::size_t n_candidates : {0, 1, 5, 64, 131}) {
        std::vector<std::size_t> choices;
        for (std::size_t i = 0; i < n_candidates * n_slots; ++i)
          choices.push_back(random() % n_choices[i % n_slots]);
        check_as<std::uint8_t>(parts, choices);
        check_as<std::int8_t>(parts, choices);
        check_as<std::int16_t>(parts, choices);
        check_as<std::uint32_t>(parts, choices);
        check_as<std::int64_t>(parts, choices);
      }
    }
  }
}

TEST_CASE("pairs that would be too large are left apart, and large slots are walked") {
  std::mt19937 random(6);
  for (const std::vector<std::size_t> &n_choices : std::vector<std::vector<std::size_t>>{
           {200, 200, 3}, {255, 8, 8, 8}, {256, 4}, {2, 70, 70}}) {
    const Parts parts =
        random_parts(random, n_choices, std::vector<std::size_t>(n_choices.size(), 1), 4);
    std::vector<std::size_t> choices;
    for (std::size_t i = 0; i < 100 * n_choices.size(); ++i)
      choices.push_back(random() % n_choices[i % n_choices.size()]);
    CHECK(table_of(parts).is_fused() == (n_choices[0] < 256));
    check_as<std::uint8_t>(parts, choices);
    check_as<std::uint16_t>(parts, choices);
  }
  const Parts huge =
      random_parts(random, std::vector<std::size_t>(70, 250), std::vector<std::size_t>(70, 1), 1);
  CHECK_FALSE(table_of(huge).is_fused());
}

TEST_CASE("strides of any sign and swapped bytes are read as they are") {
  std::mt19937 random(7);
  const Parts parts = random_parts(random, {3, 4, 5}, {1, 1, 1}, 2);
  const std::vector<std::size_t> plain = {0, 1, 2, 2, 3, 4, 1, 0, 3};
  const auto expected = expected_sums(parts, plain);
  const ChoiceTable table = table_of(parts);
  for (const ChoiceKernel kernel : kernels) {
    const std::vector<std::uint8_t> columns = {0, 2, 1, 1, 3, 0, 2, 4, 3};
    ChoiceArray choices = rows_of(columns, 3);
    std::swap(choices.slot_stride, choices.candidate_stride);
    CHECK(sums_of(table, choices, kernel) == expected);

    const std::vector<std::uint8_t> backwards = {1, 0, 3, 2, 3, 4, 0, 1, 2};
    choices = rows_of(backwards, 3);
    choices.data += 6;
    choices.candidate_stride = -3;
    CHECK(sums_of(table, choices, kernel) == expected);

    std::vector<std::uint32_t> swapped;
    for (const std::size_t value : plain)
      swapped.push_back(__builtin_bswap32(static_cast<std::uint32_t>(value)));
    choices = rows_of(swapped, 3);
    choices.swapped = true;
    CHECK(sums_of(table, choices, kernel) == expected);
  }
}

TEST_CASE("a choice that is out of range is named with candidate, slot and value") {
  std::mt19937 random(8);
  const Parts parts = random_parts(random, {3, 4, 5}, {1, 1, 1}, 1);
  const ChoiceTable table = table_of(parts);
  for (const ChoiceKernel kernel : kernels) {
    for (const std::int64_t wrong : {INT64_C(-1), INT64_C(4), INT64_C(255), INT64_C(256),
                                     INT64_C(257), INT64_MAX, INT64_MIN}) {
      std::vector<std::int64_t> values(3 * 200, 1);
      values[3 * 150 + 1] = wrong;
      values[3 * 170] = 99;
      try {
        sums_of(table, rows_of(values, 3), kernel);
        FAIL("no error");
      } catch (const ChoiceError &error) {
        CHECK(error.candidate == 150);
        CHECK(error.slot == 1);
        CHECK(error.value == std::to_string(wrong));
        CHECK(error.state == bopscount::no_state);
      }
    }
    const std::vector<std::int8_t> negative = {0, 0, -128};
    CHECK_THROWS_AS(sums_of(table, rows_of(negative, 3), kernel), ChoiceError);
  }
}

TEST_CASE("a choice that its state does not allow is named with the state") {
  // Choice 1 of the first slot leads to state 1, where slot 1 has no choice 0.
  const ChoiceTable table({{1, 2, 0}, {2, 2, 2}, {1, 1, 6}}, {1, 2, 4, 8, 16, 32, 64},
                          {0, 1, 0, 0, bopscount::no_state, 0, 0}, 1);
  for (const ChoiceKernel kernel : kernels) {
    CHECK(sums_of(table, rows_of(std::vector<std::uint8_t>{0, 0, 0, 1, 1, 0}, 3), kernel) ==
          std::vector<std::int64_t>{1 + 4 + 64, 2 + 32 + 64});
    try {
      sums_of(table, rows_of(std::vector<std::uint8_t>{0, 0, 0, 1, 0, 0}, 3), kernel);
      FAIL("no error");
    } catch (const ChoiceError &error) {
      CHECK(error.candidate == 1);
      CHECK(error.slot == 1);
      CHECK(error.value == "0");
      CHECK(error.state == 1);
    }
  }
}

TEST_CASE("a sum of 2^63 - 1 is counted and one more overflows") {
  const ChoiceTable table({{1, 2, 0}, {1, 2, 2}}, {1, INT64_MAX, 0, 1}, {0, 0, 0, 0}, 1);
  CHECK_FALSE(table.fits_64_bits());
  CHECK(sums_of(table, rows_of(std::vector<std::uint8_t>{1, 0, 0, 1}, 2), ChoiceKernel::best) ==
        std::vector<std::int64_t>{INT64_MAX, 2});
  try {
    sums_of(table, rows_of(std::vector<std::uint8_t>{0, 0, 1, 1}, 2), ChoiceKernel::best);
    FAIL("no error");
  } catch (const ChoiceOverflow &error) {
    CHECK(error.candidate == 1);
    CHECK(error.metric == 0);
  }
}

TEST_CASE("parts that do not fit together are refused") {
  using Slots = std::vector<ChoiceSlot>;
  CHECK_THROWS_AS(ChoiceTable(Slots{{2, 1, 0}}, {1, 1}, {0, 0}, 1), std::invalid_argument);
  CHECK_THROWS_AS(ChoiceTable(Slots{{1, 2, 0}}, {1, 1}, {0, 1}, 1), std::invalid_argument);
  CHECK_THROWS_AS(ChoiceTable(Slots{{1, 2, 0}}, {1, 1}, {0, -2}, 1), std::invalid_argument);
  CHECK_THROWS_AS(ChoiceTable(Slots{{1, 3, 0}}, {1, 1}, {0, 0}, 1), std::invalid_argument);
  CHECK_THROWS_AS(ChoiceTable(Slots{{1, 1, 0}}, {1, 1}, {0, 0}, 1), std::invalid_argument);
  CHECK_THROWS_AS(ChoiceTable(Slots{{1, 1, 0}}, {1, 1}, {0}, 1), std::invalid_argument);
  CHECK_THROWS_AS(ChoiceTable(Slots{{1, 1, 0}}, {-1}, {0}, 1), std::invalid_argument);
}
