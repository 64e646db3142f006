/// Costs of one layer from its op table row, specialised per kind.
///
/// The evaluator exists twice, from one source: on std::int64_t for layers
/// whose sizes prove that nothing can overflow, and on Wide for the rest.
#pragma once

#include <utility>

#include "core/costs.hpp"
#include "core/exact.hpp"
#include "core/layer.hpp"
#include "core/op_rows.hpp"

namespace bopscount {

/// all x part / whole, rounded down.
inline std::int64_t share(std::int64_t all, std::int64_t part, std::int64_t whole) {
  return static_cast<std::int64_t>(Int128{all} * part / whole);
}
/// Where the product leaves 128 bits, the result is over 2^63 - 1 too.
inline Wide share(Wide all, std::int64_t part, std::int64_t whole) {
  return all * Wide(part) / whole;
}

/// The terms of one call of `layer`, each computed only where it is asked for; if `pruned`,
/// those of a layer that has only its non-zero weights.
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
  /// count / groups, without a division for the usual one group.
  std::int64_t per_group(std::int64_t count) const {
    return layer.groups == 1 ? count : count / layer.groups;
  }

  /// Weights that cost anything.
  std::int64_t weight_elements() const {
    return pruned && layer.nonzero_weights >= 0 && layer.weight_elements != 0
               ? layer.nonzero_weights
               : layer.weight_elements;
  }

  Int macs() const {
    if constexpr (pruned)
      if (layer.weight_elements != 0)
        return share(dense_macs(), weight_elements(), layer.weight_elements);
    return dense_macs();
  }
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

  /// Products with 0 or 1, not branches: no predictor knows which layer has a bias.
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

  /// The formula's value; a formula never costs less than nothing.
  template <Formula formula> Int evaluate() const {
    Int sum(0);
    [&]<std::size_t... index>(std::index_sequence<index...>) {
      (add_multiple<formula, index>(sum), ...);
    }(std::make_index_sequence<term_count>{});
    return is_negative(sum) ? Int(0) : sum;
  }

  /// Bits of all operands, each at its own width.
  Int bits_read() const {
    return inputs() * Int(layer.input_bits) + Int(layer.extra_elements) * Int(layer.input_bits) +
           Int(weight_elements()) * Int(layer.weight_bits) +
           Int(layer.bias_elements) * Int(8 * layer.weight_item_bytes);
  }
  Int bits_written() const { return outputs() * Int(layer.output_bits); }

private:
  template <Formula formula, std::size_t index> void add_multiple(Int &sum) const {
    if constexpr (formula.multiples[index] != 0)
      sum += Int(formula.multiples[index]) * value<static_cast<Term>(index)>();
  }
  static bool is_negative(const std::int64_t &value) { return value < 0; }
  static bool is_negative(const Wide &value) { return value.negative(); }
};

/// The columns of one call that follow the kind's formulas.
template <class Int> struct CallCosts {
  Int macs{0}, flops{0}, madd{0}, bops{0}, ops_x64{0}, memory_bytes{0}, mem_read{0}, mem_write{0};
};

/// Complete columns of what is moved, if anything is, rounded up to whole bytes.
template <class Int, class TermsOfLayer>
void set_true_traffic(const TermsOfLayer &terms, CallCosts<Int> &costs) {
  if (terms.layer.has(flag_unmoved)) return;
  costs.mem_read = (terms.bits_read() + Int(7)) / 8;
  costs.mem_write = (terms.bits_written() + Int(7)) / 8;
}

/// `formula` without its macs: what a low-bit layer still does in float.
consteval Formula without_macs(Formula formula) {
  formula.multiples[static_cast<std::size_t>(Term::macs)] = 0;
  return formula;
}

/// `preferred` where it has a rule, else `fallback`.
consteval Formula choose(Formula preferred, Formula fallback) {
  return preferred.set ? preferred : fallback;
}

/// Costs of one call of a layer of kind `kind_index` under `rules`.
template <class Int, std::size_t kind_index, Rules rules, bool discount_zeros>
CallCosts<Int> call_costs(const Layer &layer) {
  constexpr const OpKind &row = rows::table[kind_index];
  constexpr bool mac_op = row.mac_form != MacForm::none;
  constexpr bool torchstat = rules == Rules::torchstat;
  constexpr Formula nothing = Formula::nothing();
  constexpr Formula flops =
      torchstat ? choose(row.torchstat.flops, row.full.flops) : row.full.flops;
  constexpr Formula madd = torchstat ? choose(row.torchstat.madd, row.full.madd) : row.full.madd;
  constexpr bool torchstat_traffic = torchstat && row.torchstat.read.set;

  const Terms<Int, row.mac_form, discount_zeros && row.prunable()> terms{layer};
  CallCosts<Int> costs;
  if constexpr (torchstat && !mac_op) {
    // torchstat sees modules only.
    if (layer.has(flag_functional)) return costs;
  }
  costs.memory_bytes = Int(4) * terms.outputs();

  if constexpr (mac_op) {
    costs.macs = terms.macs();
    if (layer.low_bit()) {
      costs.bops = costs.macs * Int(layer.weight_bits) * Int(layer.input_bits);
      costs.ops_x64 = costs.bops;
      if constexpr (torchstat && row.kind == Kind::conv) {
        // Its binary convolution has Bops and nothing else.
        if (layer.weight_bits == 1 && layer.input_bits == 1) return costs;
      }
      costs.flops = costs.madd = terms.template evaluate<without_macs(row.full.flops)>();
      set_true_traffic(terms, costs);
      return costs;
    }
    costs.ops_x64 = Int(64) * costs.macs;
  }
  if constexpr (row.kind == Kind::quantize) {
    if (layer.output_bits == 1) {
      costs.bops = terms.outputs();
      if constexpr (!torchstat) set_true_traffic(terms, costs);
      return costs;
    }
  }
  costs.flops = terms.template evaluate<flops.set ? flops : nothing>();
  costs.madd = terms.template evaluate<madd.set ? madd : nothing>();
  if constexpr (torchstat_traffic) {
    const Int item_bytes(layer.input_item_bytes);
    costs.mem_read = terms.template evaluate<row.torchstat.read>() * item_bytes;
    costs.mem_write = terms.template evaluate<row.torchstat.write>() * item_bytes;
  } else if constexpr (row.moves) {
    set_true_traffic(terms, costs);
  }
  return costs;
}

inline std::int64_t narrow(std::int64_t value) { return value; }
inline std::int64_t narrow(const Wide &value) { return value.narrow(); }

/// All costs of a record: those of a call times its calls, and its parameters.
template <class Int, std::size_t kind_index, Rules rules, bool discount_zeros>
void evaluate(const Layer &layer, Costs &costs) {
  CallCosts<Int> call;
  if (layer.calls != 0) call = call_costs<Int, kind_index, rules, discount_zeros>(layer);
  const Int calls(layer.calls);
  costs = {layer.params,
           layer.logical_params,
           narrow(call.macs * calls),
           narrow(call.flops * calls),
           narrow(call.madd * calls),
           narrow(call.bops * calls),
           narrow(call.ops_x64 * calls),
           narrow(call.memory_bytes * calls),
           narrow(call.mem_read * calls),
           narrow(call.mem_write * calls)};
}

} // namespace bopscount
