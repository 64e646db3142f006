/// Shapes that follow from the arguments of x[index] and x.view(sizes).
#pragma once

#include "tracer/python.hpp"

namespace bopscount::tracer {

/// Whether an index makes a view: numbers, slices, None and Ellipsis only.
bool is_basic_index(PyObject *index);

/// Compute the shape of x[index] for a basic index. False if torch would raise.
bool indexed_shape(PyObject *index, const Dims &in, Dims &out);

/// Compute the shape of x.view(*args[1:]), of which one size may be -1. False if the sizes do
/// not fit or are given in another way.
bool viewed_shape(PyObject *args, const Dims &in, Dims &out);

} // namespace bopscount::tracer
