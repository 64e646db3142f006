/// Cost formulas as data: integer multiples of a layer's terms.
///
/// `2 * macs - outputs + biases` is a constexpr value that the evaluator folds
/// into straight-line code and that prints itself for the documentation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bopscount {

/// Quantities of one call that formulas are built from.
enum class Term : std::uint8_t {
  macs,          ///< multiply-accumulates, by the kind's MacForm
  biases,        ///< one addition per output element if there is a bias
  inputs,        ///< elements of the first operand
  scaled_inputs, ///< `inputs` if the op has a weight (affine norms), else 0
  outputs,       ///< elements of the output
  window,        ///< kernel elements x outputs
  scores,        ///< kernel elements x batch x in_positions
  rows,          ///< batch x in_positions, the vectors along the channels
  batch,         ///< samples
  channels,      ///< in_channels
  weights,       ///< elements of weight and bias
  scatter,       ///< batch x in_positions x out_channels
  scatter_bias,  ///< `scatter` if there is a bias, else 0
  masked_scores, ///< `scores` if there is a mask, else 0
  biased_scores, ///< `scores` if there is a bias, else 0
};

inline constexpr std::size_t term_count = 15;
inline constexpr std::array<std::string_view, term_count> term_names = {
    "macs",    "biases",  "inputs",       "scaled_inputs", "outputs",
    "window",  "scores",  "rows",         "batch",         "channels",
    "weights", "scatter", "scatter_bias", "masked_scores", "biased_scores"};

/// Integer combination of terms; an unset formula means "no rule here".
struct Formula {
  std::array<std::int8_t, term_count> multiples{}; ///< factor of each `Term`
  bool set = false;                                ///< whether there is a rule

  constexpr Formula() = default;
  /// Formula of one term.
  constexpr Formula(Term term) : set(true) { multiples[static_cast<std::size_t>(term)] = 1; }
  /// Return the formula 0.
  static constexpr Formula nothing() {
    Formula formula;
    formula.set = true;
    return formula;
  }
  bool operator==(const Formula &) const = default;
};

constexpr Formula operator+(Formula left, Formula right) {
  for (std::size_t i = 0; i < term_count; ++i) left.multiples[i] += right.multiples[i];
  return left;
}
constexpr Formula operator*(int factor, Formula formula) {
  for (auto &multiple : formula.multiples) multiple = static_cast<std::int8_t>(multiple * factor);
  return formula;
}
constexpr Formula operator-(Formula left, Formula right) { return left + (-1) * right; }

/// Return the formula as text: "2*macs - outputs + biases", "0" for nothing, "" if unset.
std::string to_string(const Formula &formula);

} // namespace bopscount
