/// Leaf modules of known exact type: their attributes as a Layer, and the shape
/// that comes out, without entering their forward.
#pragma once

#include <span>
#include <string_view>

#include "core/layer.hpp"
#include "core/op_table.hpp"
#include "recording/dims.hpp"
#include "tracer/python.hpp"

namespace bopscount::tracer {

/// What a leaf rule knows of the module it answers for.
struct LeafModule {
  PyObject *dict = nullptr;         ///< the module's __dict__
  std::int64_t weight_elements = 0; ///< of the parameter `weight`, 0 without
  std::int64_t bias_elements = 0;   ///< of the parameter `bias`, 0 without
  PyObject *weight_dtype = nullptr; ///< borrowed from torch, which keeps its dtypes
  PyObject *weight = nullptr;       ///< the parameter itself, borrowed; null for a function's
  PyObject *bias = nullptr;
  std::uint8_t weight_item_bytes = 0;
};

/// How the output relates to the input.
enum class Output {
  fresh,     ///< a tensor of its own, of the input's dtype
  of_weight, ///< a tensor of its own, of the weight's dtype
  same,      ///< the input itself (in place, identity)
  view,      ///< a view of the input
};

struct LeafAnswer {
  Layer layer;
  Dims out;
  Output output = Output::fresh;
};

/// Dtypes of the input that a rule speaks for.
enum class Takes { floats, anything, indices };

struct LeafRule;
/// Fills the answer; false where it is not certain, with no Python error set.
using LeafFunction = bool (*)(const LeafRule &, const LeafModule &, const Dims &in, LeafAnswer &);

struct LeafRule {
  std::string_view name;
  Kind kind;
  LeafFunction answer;
  std::size_t spatial = 0;
  /// Which dtypes the rule speaks for: an integer input may give a float output.
  Takes takes = Takes::floats;
};

/// All rules; Python maps classes to their names.
std::span<const LeafRule> leaf_rules();

} // namespace bopscount::tracer
