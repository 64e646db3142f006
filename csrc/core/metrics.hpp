/// Metrics: their list, and their computation from a record and its op table row.
///
/// To add a metric: append it to `Metric`, with `metric_count`, and its name to `metric_names`;
/// give it a member of `CallCosts`, a value in `call_costs` and a line in `evaluate`. Lists of
/// different lengths do not compile. In Python it is a field of `Totals`
/// (bopscount/records/totals.py). A metric of one call must be at most 2^10 times a sum of terms
/// (`fits_64_bits` in count.cpp).
///
/// The evaluator has one source and two instances: on std::int64_t for layers
/// whose sizes rule out overflow, and on Wide for the rest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/exact.hpp"
#include "core/layer.hpp"
#include "core/op_table.hpp"
#include "core/rules.hpp"
#include "core/terms.hpp"

namespace bopscount {

/// Metrics, in the order of every cost array and tuple.
enum class Metric : std::uint8_t {
  params,         ///< registered parameters, on their first owner
  logical_params, ///< parameters by logical shape, packed weights included
  macs,           ///< multiply-accumulates
  flops,          ///< float operations; a multiply-accumulate is one
  madd,           ///< float multiplications plus additions
  bops,           ///< binary and bit operations
  ops_x64,        ///< 64 x full-precision macs + bops of the MAC layers
  memory_bytes,   ///< 4 x output elements
  mem_read,       ///< bytes read
  mem_write,      ///< bytes written
};

inline constexpr std::size_t metric_count = static_cast<std::size_t>(Metric::mem_write) + 1;
inline constexpr std::array<std::string_view, metric_count> metric_names =
    std::to_array<std::string_view>({"params", "logical_params", "macs", "flops", "madd", "bops",
                                     "ops_x64", "memory_bytes", "mem_read", "mem_write"});

/// Costs of one layer, indexed by `Metric`; each value is in [0, 2^63 - 1].
using Costs = std::array<std::int64_t, metric_count>;

/// The columns of one call that follow the kind's formulas.
template <class Int> struct CallCosts {
  Int macs{0}, flops{0}, madd{0}, bops{0}, ops_x64{0}, memory_bytes{0}, mem_read{0}, mem_write{0};
};

/// Set the traffic of the complete rules, rounded up to whole bytes; 0 if nothing is moved.
template <class Int, class TermsOfLayer>
void set_true_traffic(const TermsOfLayer &terms, CallCosts<Int> &costs) {
  if (terms.layer.has(flag_unmoved)) return;
  costs.mem_read = (terms.bits_read() + Int(7)) / 8;
  costs.mem_write = (terms.bits_written() + Int(7)) / 8;
}

/// Return `formula` without its macs: the float operations that are left in a low-bit layer.
consteval Formula without_macs(Formula formula) {
  formula.multiples[static_cast<std::size_t>(Term::macs)] = 0;
  return formula;
}

/// Return `preferred` if it is set, else `fallback`.
consteval Formula choose(Formula preferred, Formula fallback) {
  return preferred.set ? preferred : fallback;
}

/// Return the costs of one call of a layer under `rules`; `Row::value` is the row of its kind.
template <class Int, class Row, Rules rules, bool discount_zeros>
CallCosts<Int> call_costs(const Layer &layer) {
  constexpr const OpKind &row = Row::value;
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
        // torchstat's binary convolution has Bops and nothing else.
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

/// Set all costs of a record: those of one call times its calls, and its parameters.
template <class Int, class Row, Rules rules, bool discount_zeros>
void evaluate(const Layer &layer, Costs &costs) {
  CallCosts<Int> call;
  if (layer.calls != 0) call = call_costs<Int, Row, rules, discount_zeros>(layer);
  const Int calls(layer.calls);
  costs = std::to_array<std::int64_t>(
      {layer.params, layer.logical_params, narrow(call.macs * calls), narrow(call.flops * calls),
       narrow(call.madd * calls), narrow(call.bops * calls), narrow(call.ops_x64 * calls),
       narrow(call.memory_bytes * calls), narrow(call.mem_read * calls),
       narrow(call.mem_write * calls)});
}

} // namespace bopscount
