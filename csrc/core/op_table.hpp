/// One row per op kind: its name, what it is, and what it costs.
///
/// To add an op kind: append to `Kind`, append its row in op_table.cpp's order
/// (checked at compile time), and teach the tracer to record it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/formula.hpp"

namespace bopscount {

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

/// Whether what comes out has the bit width of what went in: values move, none is made.
constexpr bool keeps_bits(Kind kind) {
  switch (kind) {
  case Kind::max_pool:
  case Kind::adaptive_max_pool:
  case Kind::upsample_nearest:
  case Kind::dropout:
  case Kind::identity:
  case Kind::move: return true;
  default: return false;
  }
}

/// How the macs of one call follow from the record's sizes.
enum class MacForm : std::uint8_t {
  none,      ///< the op has no macs
  by_output, ///< outputs x (in_channels / groups) x kernel
  by_input,  ///< inputs x (out_channels / groups) x kernel (transposed convolution)
  by_weight, ///< batch x weight_elements (a recurrent layer's steps)
  attention, ///< batch x in_positions x kernel x (in_channels + out_channels)
};

/// The columns of one rule set. An unset formula falls back to the full rules.
struct TorchstatRules {
  Formula flops, madd;
  /// Elements; the table's column is this times the input's item size.
  Formula read, write;
};

/// The complete rules. Traffic is uniform and not stated per kind: every
/// operand is read and the output written once, at their true bit widths.
struct FullRules {
  Formula flops = Formula::nothing();
  Formula madd = Formula::nothing();
};

/// One row of the op table.
struct OpKind {
  Kind kind;
  std::string_view name;
  std::string_view doc;
  MacForm mac_form = MacForm::none;
  FullRules full{};
  TorchstatRules torchstat{};
  /// Where the complete formulas come from.
  std::string_view source = "one per arithmetic operation and element";
  /// False for what leaves its data where it is.
  bool moves = true;
};

/// All rows; row i is the one of kind i.
std::span<const OpKind, kind_count> op_table();

/// "by output", ... for the documentation.
std::string_view to_string(MacForm form);

} // namespace bopscount
