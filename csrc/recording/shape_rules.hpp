/// Output shapes of the common layers, from the input's shape and a record with
/// the layer's attributes.
///
/// Every rule sets `out`. A rule returns false if it is not certain: the caller then asks the
/// framework, which has the right error messages for a wrong shape.
#pragma once

#include "core/layer.hpp"
#include "recording/dims.hpp"

namespace bopscount {

/// Apply a convolution of `spatial` dimensions; `layer` holds channels, groups and window.
bool conv_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out);
/// Apply a transposed convolution.
bool conv_transpose_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out);
/// Apply max, average or power-average pooling.
bool pool_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out);
/// Apply pooling to the size in kernel[], -1 for "as the input".
bool adaptive_pool_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out);
/// Apply a linear layer: the last dimension becomes out_channels.
bool linear_shape(const Layer &layer, const Dims &in, Dims &out);
/// Merge dimensions `first` to `last`, both counted from the end if negative.
bool flatten_shape(std::int64_t first, std::int64_t last, const Dims &in, Dims &out);
/// Broadcast two shapes.
bool broadcast_shape(const Dims &left, const Dims &right, Dims &out);
/// Multiply (..., m, k) @ (..., k, n) with torch's rules for vectors and batches.
bool matmul_shape(const Dims &left, const Dims &right, Dims &out);

} // namespace bopscount
