#include "core/formula.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "core/op_table.hpp"

using bopscount::Formula;
using bopscount::MacForm;
using bopscount::OpKind;
using bopscount::Term;
using bopscount::to_string;

namespace {

constexpr Formula macs = Term::macs, outputs = Term::outputs, biases = Term::biases;

} // namespace

TEST_CASE("a formula prints its multiples, in the order of the terms") {
  CHECK(to_string(macs) == "macs");
  CHECK(to_string(3 * outputs) == "3*outputs");
  CHECK(to_string(biases + 2 * macs) == "2*macs + biases");
}

TEST_CASE("a formula prints what it subtracts last") {
  CHECK(to_string(2 * macs - outputs + biases) == "2*macs + biases - outputs");
  CHECK(to_string(outputs - 3 * macs) == "outputs - 3*macs");
}

TEST_CASE("a formula of nothing prints as 0 and an unset one as nothing") {
  CHECK(to_string(Formula::nothing()) == "0");
  CHECK(to_string(Formula{}) == "");
  CHECK(to_string(macs - macs) == "0");
}

TEST_CASE("a formula made of terms is set, even where they cancel out") {
  CHECK(Formula(Term::macs).set);
  CHECK((macs - macs).set);
  CHECK(Formula::nothing().set);
  CHECK_FALSE(Formula{}.set);
}

TEST_CASE("multiples of one term add up") {
  CHECK(to_string(outputs + outputs + 2 * outputs) == "4*outputs");
  CHECK(to_string(2 * (macs + 3 * outputs)) == "2*macs + 6*outputs");
}

TEST_CASE("every term has a name of its own") {
  std::set<std::string> names;
  for (std::size_t term = 0; term < bopscount::term_count; ++term)
    names.insert(to_string(Formula(static_cast<Term>(term))));
  CHECK(names.size() == bopscount::term_count);
  CHECK(names.count("") == 0);
  CHECK(to_string(Formula(Term::biased_scores)) == "biased_scores");
}

TEST_CASE("every kind has a name of its own and a description") {
  std::set<std::string_view> names;
  for (const OpKind &row : bopscount::op_table()) {
    INFO(row.name);
    names.insert(row.name);
    CHECK_FALSE(row.doc.empty());
    CHECK_FALSE(row.source.empty());
    CHECK(row.full.flops.set);
    CHECK(row.full.madd.set);
    CHECK(row.torchstat.read.set == row.torchstat.write.set);
  }
  CHECK(names.size() == bopscount::kind_count);
}

TEST_CASE("formulas with macs belong to kinds that have macs") {
  const auto macs_in = [](const Formula &formula) { return formula.multiples[0] != 0; };
  for (const OpKind &row : bopscount::op_table()) {
    INFO(row.name);
    const bool counts_macs = row.mac_form != MacForm::none;
    CHECK(macs_in(row.full.flops) == counts_macs);
    CHECK(macs_in(row.full.madd) == counts_macs);
    CHECK(to_string(row.mac_form).empty() != counts_macs);
  }
}
