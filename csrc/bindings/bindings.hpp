/// Parts of the extension module, and argument checks that the binding files share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <span>
#include <string>

#include "core/costs.hpp"
#include "core/layer.hpp"

namespace bopscount::bindings {

namespace py = pybind11;

void register_layer(py::module_ &module);
void register_op_table(py::module_ &module);
void register_count(py::module_ &module);
void register_search_blocks(py::module_ &module);
void register_search_bits(py::module_ &module);
void register_search_choices(py::module_ &module);
void register_snapshot(py::module_ &module);
void register_rule_functions(py::module_ &module);
void register_tracer(py::module_ &module);

/// Return the array's memory as records. Raise a TypeError or ValueError for anything but a 1-D
/// C-contiguous aligned array of exactly this dtype: nothing is converted.
std::span<const Layer> layers_of(const py::array &layers);

/// Raise a TypeError unless the array has exactly this dtype; `name` is the argument's.
void require_dtype(const py::array &array, const py::dtype &dtype, const char *name);

/// Raise a TypeError or ValueError unless the array has this dtype and the same layout.
void require_layout(const py::array &array, const py::dtype &dtype, const char *name);

/// Return the NumPy dtype of `Costs`: one int64 field per metric.
py::dtype cost_dtype();

/// Return the rule set of a name, "torchstat" or "full"; raise a ValueError for others.
Rules rules_of(const std::string &name);

/// Return the sums as a tuple of exact Python ints, one per metric.
py::tuple to_tuple(const CostSums &sums);

/// Return an exact Python int.
py::object to_python(Int128 value);
/// Return the value of an int; raise an OverflowError if it takes more than 128 bits.
Int128 from_python(const py::int_ &value);

} // namespace bopscount::bindings
