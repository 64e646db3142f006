/// Rules for leaf modules of known classes: from their attributes to a record and an output shape.
#pragma once

#include <span>
#include <string_view>

#include "core/layer.hpp"
#include "core/op_table.hpp"
#include "recording/dims.hpp"
#include "tracer/python.hpp"

namespace bopscount::tracer {

/// Attributes of a module, as its leaf rule reads them.
struct LeafModule {
  PyObject *dict = nullptr;         ///< the module's __dict__
  std::int64_t weight_elements = 0; ///< of the parameter `weight`, 0 if there is none
  std::int64_t bias_elements = 0;   ///< of the parameter `bias`, 0 if there is none
  PyObject *weight_dtype = nullptr; ///< borrowed; torch never frees its dtypes
  PyObject *weight = nullptr;       ///< the parameter itself, borrowed; null for a function
  PyObject *bias = nullptr;
  std::uint8_t weight_item_bytes = 0;
};

/// Relation of the output to the input.
enum class Output {
  fresh,     ///< a tensor of its own, of the input's dtype
  of_weight, ///< a tensor of its own, of the weight's dtype
  same,      ///< the input itself (in place, identity)
  view,      ///< a view of the input
};

/// A record, and the output that it describes.
struct LeafAnswer {
  Layer layer;
  Dims out;
  Output output = Output::fresh;
};

/// Dtypes of the input that a rule accepts.
enum class Takes { floats, anything, indices };

struct LeafRule;
/// Fills the answer. False without a Python error if it is not certain.
using LeafFunction = bool (*)(const LeafRule &, const LeafModule &, const Dims &in, LeafAnswer &);

/// One row of the table of rules.
struct LeafRule {
  std::string_view name;
  Kind kind;
  LeafFunction answer;
  std::size_t spatial = 0;
  // An integer input may give a float output.
  Takes takes = Takes::floats;
};

/// Return all rules; Python maps module classes to their names.
std::span<const LeafRule> leaf_rules();

} // namespace bopscount::tracer
