/// Op table, one row per op kind: name, description, costs, and rules of its shapes,
/// weights and bit widths.
///
/// To add an op kind: append it to `Kind`, append its row to op_rows.hpp (the order
/// is checked at compile time), and teach the tracer to record it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/formula.hpp"

namespace bopscount {

/// Kinds of operations; the number of a kind is its row in the op table.
enum class Kind : std::uint16_t {
  invalid,
  uncalled,
  parameters,
  uncounted,
  conv,
  conv_transpose,
  linear,
  bilinear,
  matmul,
  attention,
  rnn,
  lstm,
  gru,
  quantize,
  embedding,
  batch_norm,
  layer_norm,
  group_norm,
  instance_norm,
  rms_norm,
  local_response_norm,
  normalize,
  max_pool,
  avg_pool,
  lp_pool,
  adaptive_avg_pool,
  adaptive_max_pool,
  upsample_nearest,
  upsample_linear,
  upsample_cubic,
  grid_sample,
  relu,
  prelu,
  leaky_relu,
  elu,
  selu,
  celu,
  hardtanh,
  hardsigmoid,
  hardswish,
  sigmoid,
  tanh,
  silu,
  gelu,
  softplus,
  mish,
  log_sigmoid,
  softsign,
  tanhshrink,
  shrink,
  threshold,
  glu,
  softmax,
  log_softmax,
  dropout,
  identity,
  elementwise,
  reduce,
  variance,
  cumulative,
  distance,
  move,
  count, ///< not a kind: how many there are
};

inline constexpr std::size_t kind_count = static_cast<std::size_t>(Kind::count);

/// Form of the macs of one call, from the record's sizes.
enum class MacForm : std::uint8_t {
  none,      ///< the op has no macs
  by_output, ///< outputs x (in_channels / groups) x kernel
  by_input,  ///< inputs x (out_channels / groups) x kernel (transposed convolution)
  by_weight, ///< batch x weight_elements (a recurrent layer's steps)
  attention, ///< batch x in_positions x kernel x (in_channels + out_channels)
};

/// Rule for the shape of the output, from the shape of the first operand.
enum class ShapeRule : std::uint8_t {
  by_rule,  ///< rule specific to the kind (broadcasting, views, concatenation ...)
  same,     ///< the output has the shape of the input
  product,  ///< the last dimension becomes out_channels, or the second operand's
  window,   ///< a window slides over the positions: kernel, stride, padding, dilation
  adaptive, ///< the positions become the size in `kernel`
  resize,   ///< the positions become a given size, or their multiple by a factor
  reduce,   ///< some dimensions become 1 or vanish
};

/// Dimension of the tensors that holds the channels.
enum class ChannelAxis : std::uint8_t {
  channels_first, ///< dimension 1, or 0 without a batch
  last,           ///< the last dimension (features)
  any,            ///< a dimension given by the call
};

/// Rule for the number of weights, from the sizes.
enum class WeightRule : std::uint8_t {
  none,        ///< the kind has no weight
  per_channel, ///< one element per channel, or one for all
  trailing,    ///< one element for each element of the normalised trailing dimensions
  product,     ///< in_channels / groups x out_channels x kernel, all used equally often
  operand,     ///< the elements of the second operand, which another op may have computed
  by_rule,     ///< rule specific to the kind
};

/// Tensors of the forward pass that autograd keeps for the backward pass.
enum class Saved : std::uint8_t {
  unset,      ///< not stated
  none,       ///< nothing
  input,      ///< the operands
  output,     ///< the output
  both,       ///< operands and output
  mask,       ///< a boolean or index per element
  statistics, ///< the input and its mean and variance
};

/// torchstat's columns. An unset formula falls back to the full rules.
struct TorchstatRules {
  /// Operations.
  Formula flops, madd;
  /// Traffic in elements; the table's column is this times the input's item size.
  Formula read, write;
};

/// Complete rules, in operations. Traffic is not stated per kind: every
/// operand is read and the output written once, at their true bit widths.
struct FullRules {
  Formula flops = Formula::nothing();
  Formula madd = Formula::nothing();

  /// Return whether both formulas are 0.
  constexpr bool is_nothing() const {
    return flops == Formula::nothing() && madd == Formula::nothing();
  }
};

/// Row of the op table, with the facts that hold for every op of a kind.
struct OpKind {
  Kind kind;
  std::string_view name;
  /// Description in one sentence.
  std::string_view doc;
  MacForm mac_form = MacForm::none;
  FullRules full{};
  TorchstatRules torchstat{};
  /// Source of the complete formulas.
  std::string_view source = "one per arithmetic operation and element";
  /// False for kinds that leave their data in place.
  bool moves = true;
  ShapeRule shape = ShapeRule::by_rule;
  ChannelAxis axis = ChannelAxis::channels_first;
  WeightRule weights = WeightRule::none;
  /// True if the output has the bit width of the input: values are moved, not computed.
  bool keeps_bits = false;
  Saved saves = Saved::unset;
  /// Float operations of the gradient; unset if not stated.
  Formula backward{};

  /// Return whether every weight is used equally often, so that a zero saves its share of the
  /// macs.
  constexpr bool prunable() const { return weights == WeightRule::product; }
};

/// Return all rows; row i belongs to kind i.
std::span<const OpKind, kind_count> op_table();

/// Return the product of sizes as text; "" for none.
std::string_view to_string(MacForm form);
/// Return the name of the enumerator; "" for `Saved::unset`.
std::string_view to_string(ShapeRule shape);
std::string_view to_string(ChannelAxis axis);
std::string_view to_string(WeightRule weights);
std::string_view to_string(Saved saves);

} // namespace bopscount
