/// Fields of a record by name.
#pragma once

#include "core/layer.hpp"
#include "tracer/python.hpp"

namespace bopscount::tracer {

/// Set one field of a record; raise a TypeError or ValueError if the value does not fit it.
void set_field(Layer &layer, PyObject *name, PyObject *value);

} // namespace bopscount::tracer
