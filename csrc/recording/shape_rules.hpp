/// Output shapes of the common layers, from the input's shape and a record that
/// holds the layer's attributes.
///
/// A rule that is not certain of its answer says no: the caller then asks the
/// framework, whose error messages are the right ones for a wrong shape.
#pragma once

#include "core/layer.hpp"
#include "recording/dims.hpp"

namespace bopscount {

/// Convolution of `spatial` dimensions; channels, groups and window in `layer`.
bool conv_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out);
/// Transposed convolution.
bool conv_transpose_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out);
/// Max, average and power-average pooling.
bool pool_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out);
/// Pooling to a size; kernel[] holds it, -1 for "as the input".
bool adaptive_pool_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out);
/// Last dimension in_channels to out_channels.
bool linear_shape(const Layer &layer, const Dims &in, Dims &out);
/// Dimensions `first` to `last` (both counted from the end if negative) made one.
bool flatten_shape(std::int64_t first, std::int64_t last, const Dims &in, Dims &out);
/// The shape that two tensors broadcast to.
bool broadcast_shape(const Dims &left, const Dims &right, Dims &out);
/// (..., m, k) @ (..., k, n) with torch's rules for vectors and batches.
bool matmul_shape(const Dims &left, const Dims &right, Dims &out);

} // namespace bopscount
