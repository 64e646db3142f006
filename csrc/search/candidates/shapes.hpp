/// Shapes and sizes of records whose fields were changed.
#pragma once

#include <cstddef>

#include "core/layer.hpp"
#include "recording/dims.hpp"

namespace bopscount {

/// What a convolution, pooling or linear layer makes of `in`, by its kind; false for other kinds
/// and where it does not fit. `spatial` is the number of dimensions of the window.
bool changed_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out);

/// Whether sizes are 1 to 2^31 - 1 and their product is under 2^62: the shape rules cannot
/// overflow.
bool is_countable(const Dims &dims);

} // namespace bopscount
