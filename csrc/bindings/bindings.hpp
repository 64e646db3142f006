/// What the binding files share: the module's parts and argument checks.
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

/// The array's memory as records. Refuses (TypeError, ValueError) anything but
/// a 1-D C-contiguous aligned array of exactly this dtype: nothing is converted.
std::span<const Layer> layers_of(const py::array &layers);

/// TypeError unless the array has exactly this dtype; `name` is the argument's.
void require_dtype(const py::array &array, const py::dtype &dtype, const char *name);

/// The array's memory as T, under the same conditions; `name` is the argument's.
void require_layout(const py::array &array, const py::dtype &dtype, const char *name);

/// The numpy dtype of `Costs`: one int64 field per metric.
py::dtype cost_dtype();

/// "torchstat" or "full"; ValueError otherwise.
Rules rules_of(const std::string &name);

/// The sums as a tuple of exact Python ints, one a metric.
py::tuple to_tuple(const CostSums &sums);

/// An exact Python int.
py::object to_python(Int128 value);
/// Its value; OverflowError if that takes more than 128 bits.
Int128 from_python(const py::int_ &value);

} // namespace bopscount::bindings
