/// Shapes and sizes of records with changed fields.
#pragma once

#include <cstddef>

#include "core/layer.hpp"
#include "recording/dims.hpp"

namespace bopscount {

/// Set the output shape of a convolution, pooling or linear layer, by its kind. Return false for
/// other kinds, and if `in` does not fit. `spatial` is the number of window dimensions.
bool changed_shape(const Layer &layer, std::size_t spatial, const Dims &in, Dims &out);

/// Return whether sizes are 1 to 2^31 - 1 and their product is under 2^62, so that the shape
/// rules cannot overflow.
bool is_countable(const Dims &dims);

} // namespace bopscount
