/// Entries of torch.overrides: how calls reach the tracer that no entry point has answered.
#pragma once

#include "tracer/python.hpp"

namespace bopscount::tracer {

/// Return the `__torch_function__` of a function mode, ready to be set on a subclass.
py::object make_torch_function();

/// Return a replacement of torch.overrides.handle_torch_function, which torch's functions that
/// are written in Python call while a mode is active.
py::object make_handle_torch_function();

} // namespace bopscount::tracer
