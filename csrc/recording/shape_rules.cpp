#include "recording/shape_rules.hpp"

namespace bopscount {
namespace {

/// Return whether `in` has channels and at most a batch before its spatial dimensions.
bool has_rank(const Dims &in, std::size_t spatial) {
  return in.rank == spatial + 1 || in.rank == spatial + 2;
}

/// Return whether all sizes from `first` on are positive; the batch may be 0.
bool is_filled(const Dims &in, std::size_t first) {
  for (std::size_t i = first; i < in.rank; ++i)
    if (in[i] < 1) return false;
  return true;
}

/// Return whether kernel and dilation of dimension i are positive.
bool is_window(const Layer &layer, std::size_t i) {
  return layer.kernel[i] > 0 && layer.dilation[i] > 0;
}

/// Return the positions of a window of `reach` over `size` with padding; 0 if it does not fit.
std::int64_t window_positions(std::int64_t size, std::int64_t padding, std::int64_t reach,
                              std::int64_t stride) {
  const std::int64_t room = size + 2 * padding - reach;
  return room < 0 ? 0 : room / stride + 1;
}

} // namespace

bool conv_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out) {
  if (!has_rank(in, spatial)) return false;
  const std::size_t channel = in.rank - spatial - 1;
  if (in[channel] != layer.in_channels || !is_filled(in, channel)) return false;
  out = in;
  out[channel] = layer.out_channels;
  for (std::size_t i = 0; i < spatial; ++i) {
    if (layer.stride[i] < 1 || layer.padding[i] < 0 || !is_window(layer, i)) return false;
    // padding="same" keeps the size; torch allows it with stride 1 only.
    if (layer.has(flag_same_padding)) continue;
    const std::int64_t reach = std::int64_t{layer.dilation[i]} * (layer.kernel[i] - 1) + 1;
    std::int64_t &size = out[channel + 1 + i];
    size = window_positions(size, layer.padding[i], reach, layer.stride[i]);
    if (size < 1) return false;
  }
  return true;
}

bool conv_transpose_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out) {
  if (!has_rank(in, spatial)) return false;
  const std::size_t channel = in.rank - spatial - 1;
  if (in[channel] != layer.in_channels || !is_filled(in, channel)) return false;
  out = in;
  out[channel] = layer.out_channels;
  for (std::size_t i = 0; i < spatial; ++i) {
    if (layer.stride[i] < 1 || layer.padding[i] < 0 || !is_window(layer, i)) return false;
    // torch's own conditions; its error messages are better.
    if (layer.output_padding[i] >= layer.stride[i] && layer.output_padding[i] >= layer.dilation[i])
      return false;
    std::int64_t &size = out[channel + 1 + i];
    size = (size - 1) * layer.stride[i] - 2 * std::int64_t{layer.padding[i]} +
           std::int64_t{layer.dilation[i]} * (layer.kernel[i] - 1) + layer.output_padding[i] + 1;
    if (size < 1) return false;
  }
  return true;
}

bool pool_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out) {
  if (!has_rank(in, spatial)) return false;
  const std::size_t channel = in.rank - spatial - 1;
  if (!is_filled(in, channel)) return false;
  out = in;
  for (std::size_t i = 0; i < spatial; ++i) {
    if (layer.stride[i] < 1 || layer.padding[i] < 0 || !is_window(layer, i) ||
        2 * std::int64_t{layer.padding[i]} > layer.kernel[i])
      return false;
    const std::int64_t reach = std::int64_t{layer.dilation[i]} * (layer.kernel[i] - 1) + 1;
    std::int64_t &size = out[channel + 1 + i];
    const std::int64_t room = size + 2 * std::int64_t{layer.padding[i]} - reach;
    const std::int64_t stride = layer.stride[i];
    if (layer.has(flag_ceil_mode)) {
      if (room < 0 && -room >= stride) return false;
      std::int64_t windows = (room + stride - 1) / stride + 1;
      // The last window must start inside the input or its left padding.
      if ((windows - 1) * stride >= size + layer.padding[i]) --windows;
      size = windows;
    } else {
      size = room < 0 ? 0 : room / stride + 1;
    }
    if (size < 1) return false;
  }
  return true;
}

bool adaptive_pool_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out) {
  if (!has_rank(in, spatial)) return false;
  const std::size_t channel = in.rank - spatial - 1;
  if (!is_filled(in, channel)) return false;
  out = in;
  for (std::size_t i = 0; i < spatial; ++i)
    if (layer.kernel[i] >= 0) out[channel + 1 + i] = layer.kernel[i];
  return true;
}

bool linear_shape(const Layer &layer, const Dims &in, Dims &out) {
  if (in.rank == 0 || in[in.rank - 1] != layer.in_channels) return false;
  out = in;
  out[in.rank - 1] = layer.out_channels;
  return true;
}

bool flatten_shape(std::int64_t first, std::int64_t last, const Dims &in, Dims &out) {
  const auto rank = static_cast<std::int64_t>(in.rank);
  if (first < 0) first += rank;
  if (last < 0) last += rank;
  if (rank == 0 || first < 0 || last >= rank || first > last) return false;
  out = Dims{};
  for (std::int64_t i = 0; i < rank; ++i) {
    const std::int64_t size = in[static_cast<std::size_t>(i)];
    if (i > first && i <= last)
      out[out.rank - 1] *= size;
    else
      out.push(size);
  }
  return true;
}

bool broadcast_shape(const Dims &left, const Dims &right, Dims &out) {
  const Dims &longer = left.rank >= right.rank ? left : right;
  const Dims &shorter = left.rank >= right.rank ? right : left;
  const std::size_t offset = longer.rank - shorter.rank;
  out = longer;
  for (std::size_t i = 0; i < shorter.rank; ++i) {
    const std::int64_t one = longer[offset + i], other = shorter[i];
    if (one == other || other == 1) continue;
    if (one != 1) return false;
    out[offset + i] = other;
  }
  return true;
}

bool matmul_shape(const Dims &left, const Dims &right, Dims &out) {
  if (left.rank == 0 || right.rank == 0) return false;
  const std::int64_t inner = left[left.rank - 1];
  if (inner != (right.rank == 1 ? right[0] : right[right.rank - 2])) return false;
  Dims left_batch, right_batch;
  for (std::size_t i = 0; i + 2 < left.rank; ++i) left_batch.push(left[i]);
  for (std::size_t i = 0; i + 2 < right.rank; ++i) right_batch.push(right[i]);
  if (!broadcast_shape(left_batch, right_batch, out) || out.rank + 2 > Dims::capacity) return false;
  if (left.rank > 1) out.push(left[left.rank - 2]);
  if (right.rank > 1) out.push(right[right.rank - 1]);
  return true;
}

} // namespace bopscount
