/// The layer record: one executed operation of a network, as plain data.
///
/// This struct is the contract between whoever records a network and the core
/// that counts it. Its layout is stated here and nowhere else; Python gets it
/// as the numpy dtype `bopscount.LAYER_DTYPE`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace bopscount {

/// Bits of a float operand in every rule about bit widths, whatever its dtype.
inline constexpr int full_precision = 32;
/// The most bits of an operand of a low-bit layer.
inline constexpr int max_low_bits = 16;
/// The most bits of an operand that can be stated.
inline constexpr std::size_t max_bits = 64;

/// Where a bit width came from; anything but `floating` says "quantised".
enum class BitSource : std::uint8_t {
  floating = 0, ///< a float (or unquantised) dtype: full precision
  user = 1,     ///< the caller said so
  adapter = 2,  ///< a rule for the module's class
  producer = 3, ///< carried by the tensor from the op that made it
  dtype = 4,    ///< the tensor's integer dtype or subclass
  measured = 5, ///< found in the values themselves
};

/// Bits of `Layer::flags`.
enum LayerFlag : std::uint16_t {
  flag_functional = 1 << 0,      ///< called in an inner module's forward, not by a leaf
  flag_ceil_mode = 1 << 1,       ///< pooling: round output sizes up
  flag_same_padding = 1 << 2,    ///< convolution: padding="same"
  flag_causal = 1 << 3,          ///< attention: causal mask
  flag_masked = 1 << 4,          ///< attention: an additive or boolean mask
  flag_exclude_padding = 1 << 5, ///< average pooling: count_include_pad=False
  flag_unmoved = 1 << 6,         ///< output is the input (a view, dropout in eval)
};

/// One operation as it was executed. Sizes are element counts per call.
///
/// The output of a layer is (batch, out_channels, out_positions) and its first
/// operand (batch, in_channels, in_positions), whatever the rank of the tensors:
/// positions are all dimensions that are neither batch nor channels.
struct Layer {
  /// Executions with exactly these sizes; 0 for a module that was never called.
  std::int64_t calls = 1;
  /// Registered parameters that this record is the first owner of.
  std::int64_t params = 0;
  /// The same by logical shape, packed weights included.
  std::int64_t logical_params = 0;
  std::int64_t batch = 1;
  std::int64_t in_channels = 1;
  std::int64_t in_positions = 1;
  std::int64_t out_channels = 1;
  std::int64_t out_positions = 1;
  /// Channel groups; in_channels and out_channels are divided by it.
  std::int64_t groups = 1;
  /// Elements of the weight, or of the second operand of a matmul or attention.
  std::int64_t weight_elements = 0;
  /// Elements of the bias, 0 where there is none.
  std::int64_t bias_elements = 0;
  /// Elements of further operands, at the width of the first one.
  std::int64_t extra_elements = 0;
  /// Weights that are not zero; -1 where nobody looked.
  std::int64_t nonzero_weights = -1;
  /// Index of the owner (a module, or a parenthesised row of one).
  std::int32_t owner = 0;
  /// Window sizes of convolution and pooling; their product is
  /// the window's element count.
  /// Attention keeps its key length in kernel[0], a recurrent layer its hidden size, adaptive
  /// pooling the size it pools to (0 for "as the input").
  std::int32_t kernel[3] = {1, 1, 1};
  std::int32_t stride[3] = {1, 1, 1};
  std::int32_t padding[3] = {0, 0, 0};
  std::int32_t dilation[3] = {1, 1, 1};
  std::int32_t output_padding[3] = {0, 0, 0};
  /// Row of the op table (`op_table.hpp`); 0 is invalid.
  std::uint16_t kind = 0;
  /// Or of `LayerFlag`s.
  std::uint16_t flags = 0;
  /// Stored bits of one element of the first operand.
  std::uint8_t input_bits = full_precision;
  /// Stored bits of one element of the weight (or second operand).
  std::uint8_t weight_bits = full_precision;
  /// Stored bits of one element of the output.
  std::uint8_t output_bits = full_precision;
  BitSource input_bits_source = BitSource::floating;
  BitSource weight_bits_source = BitSource::floating;
  BitSource output_bits_source = BitSource::floating;
  /// Bytes of one element of the first operand as the framework holds it.
  std::uint8_t input_item_bytes = 4;
  /// Bytes of one element of the output as the framework holds it.
  std::uint8_t output_item_bytes = 4;
  /// Bytes of one element of weight and bias as the framework holds them.
  std::uint8_t weight_item_bytes = 4;
  /// Zero; room for what comes.
  std::uint8_t reserved[11] = {};

  /// True when both operands are quantised to at most `max_low_bits`: Bops, not Flops.
  bool low_bit() const {
    return input_bits_source != BitSource::floating && weight_bits_source != BitSource::floating &&
           input_bits <= max_low_bits && weight_bits <= max_low_bits;
  }
  bool has(LayerFlag flag) const { return (flags & flag) != 0; }
};

static_assert(sizeof(Layer) == 192, "three cache lines a record");
static_assert(std::is_standard_layout_v<Layer> && std::is_trivially_copyable_v<Layer>);
static_assert(offsetof(Layer, owner) == 13 * 8 && offsetof(Layer, kind) == 13 * 8 + 16 * 4);
static_assert(offsetof(Layer, reserved) + sizeof(Layer::reserved) == sizeof(Layer), "no padding");

} // namespace bopscount
