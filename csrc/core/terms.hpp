/// Values of the terms of formulas for a given record.
#pragma once

#include <utility>

#include "core/exact.hpp"
#include "core/layer.hpp"
#include "core/op_table.hpp"

namespace bopscount {

/// Return all x part / whole, rounded down.
inline std::int64_t share(std::int64_t all, std::int64_t part, std::int64_t whole) {
  return static_cast<std::int64_t>(Int128{all} * part / whole);
}
/// Return all x part / whole, rounded down.
// If the product overflows 128 bits, the result is over 2^63 - 1, too.
inline Wide share(Wide all, std::int64_t part, std::int64_t whole) {
  return all * Wide(part) / whole;
}

/// Terms of one call of `layer`, computed on demand; if `pruned`, of its non-zero weights only.
template <class Int, MacForm mac_form, bool pruned> struct Terms {
  const Layer &layer;

  Int rows() const { return Int(layer.batch) * Int(layer.in_positions); }
  Int inputs() const { return Int(layer.batch) * Int(layer.in_channels) * Int(layer.in_positions); }
  Int outputs() const {
    return Int(layer.batch) * Int(layer.out_channels) * Int(layer.out_positions);
  }
  Int kernel() const { return Int(layer.kernel[0]) * Int(layer.kernel[1]) * Int(layer.kernel[2]); }
  Int scores() const { return rows() * kernel(); }
  Int scatter() const { return rows() * Int(layer.out_channels); }
  /// Return count / groups, without a division for the usual one group.
  std::int64_t per_group(std::int64_t count) const {
    return layer.groups == 1 ? count : count / layer.groups;
  }

  /// Return the number of weights that cost anything.
  std::int64_t weight_elements() const {
    return pruned && layer.nonzero_weights >= 0 && layer.weight_elements != 0
               ? layer.nonzero_weights
               : layer.weight_elements;
  }

  /// Return the macs of the weights that cost anything.
  Int macs() const {
    if constexpr (pruned)
      if (layer.weight_elements != 0)
        return share(dense_macs(), weight_elements(), layer.weight_elements);
    return dense_macs();
  }
  /// Return the macs with zero weights included.
  Int dense_macs() const {
    if constexpr (mac_form == MacForm::by_output)
      return outputs() * Int(per_group(layer.in_channels)) * kernel();
    else if constexpr (mac_form == MacForm::by_input)
      return inputs() * Int(per_group(layer.out_channels)) * kernel();
    else if constexpr (mac_form == MacForm::by_weight)
      return Int(layer.batch) * Int(layer.weight_elements);
    else if constexpr (mac_form == MacForm::attention)
      return rows() * (Int(layer.in_channels) + Int(layer.out_channels)) * kernel();
    else
      return Int(0);
  }

  /// Return the value of a term.
  // Products with 0 or 1 rather than branches: biases cannot be predicted.
  template <Term term> Int value() const {
    if constexpr (term == Term::macs) return macs();
    if constexpr (term == Term::biases) return outputs() * Int(layer.bias_elements != 0);
    if constexpr (term == Term::inputs) return inputs();
    if constexpr (term == Term::scaled_inputs) return inputs() * Int(layer.weight_elements != 0);
    if constexpr (term == Term::outputs) return outputs();
    if constexpr (term == Term::window) return outputs() * kernel();
    if constexpr (term == Term::scores) return scores();
    if constexpr (term == Term::rows) return rows();
    if constexpr (term == Term::batch) return Int(layer.batch);
    if constexpr (term == Term::channels) return Int(layer.in_channels);
    if constexpr (term == Term::weights) return Int(weight_elements()) + Int(layer.bias_elements);
    if constexpr (term == Term::scatter) return scatter();
    if constexpr (term == Term::scatter_bias) return scatter() * Int(layer.bias_elements != 0);
    if constexpr (term == Term::masked_scores) return scores() * Int(layer.has(flag_masked));
    if constexpr (term == Term::biased_scores) return scores() * Int(layer.bias_elements != 0);
  }

  /// Return the value of a formula, 0 if it is negative.
  template <Formula formula> Int evaluate() const {
    Int sum(0);
    [&]<std::size_t... index>(std::index_sequence<index...>) {
      (add_multiple<formula, index>(sum), ...);
    }(std::make_index_sequence<term_count>{});
    return is_negative(sum) ? Int(0) : sum;
  }

  /// Return the bits of all operands, each at its own width.
  Int bits_read() const {
    return inputs() * Int(layer.input_bits) + Int(layer.extra_elements) * Int(layer.input_bits) +
           Int(weight_elements()) * Int(layer.weight_bits) +
           Int(layer.bias_elements) * Int(8 * layer.weight_item_bytes);
  }
  /// Return the bits of the output.
  Int bits_written() const { return outputs() * Int(layer.output_bits); }

private:
  template <Formula formula, std::size_t index> void add_multiple(Int &sum) const {
    if constexpr (formula.multiples[index] != 0)
      sum += Int(formula.multiples[index]) * value<static_cast<Term>(index)>();
  }
  static bool is_negative(const std::int64_t &value) { return value < 0; }
  static bool is_negative(const Wide &value) { return value.negative(); }
};

} // namespace bopscount
