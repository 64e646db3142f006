#include "tracer/leaf_rules.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "core/op_rows.hpp"
#include "recording/recording.hpp"
#include "recording/shape_rules.hpp"
#include "tracer/names.hpp"

namespace bopscount::tracer {
namespace {

/// Read an int attribute. False if there is none.
bool read(PyObject *dict, PyObject *name, std::int64_t &out) {
  return to_int(item(dict, name), out);
}

bool is_true(PyObject *dict, PyObject *name) { return item(dict, name) == Py_True; }
bool is_none(PyObject *dict, PyObject *name) {
  PyObject *value = item(dict, name);
  return value == nullptr || value == Py_None;
}

/// Read a window attribute: one int for all dimensions, or a tuple of `spatial` ints.
bool read_window(PyObject *value, std::size_t spatial, std::int32_t (&out)[3]) {
  if (value == nullptr) return false;
  if (PyLong_Check(value)) {
    std::int32_t size = 0;
    if (!to_size(value, size)) return false;
    for (std::size_t i = 0; i < spatial; ++i) out[i] = size;
    return true;
  }
  if (!PyTuple_Check(value) || PyTuple_GET_SIZE(value) != static_cast<Py_ssize_t>(spatial))
    return false;
  for (std::size_t i = 0; i < spatial; ++i)
    if (!to_size(PyTuple_GET_ITEM(value, static_cast<Py_ssize_t>(i)), out[i])) return false;
  return true;
}

void set_weights(const LeafModule &module, Layer &layer) {
  layer.weight_elements = module.weight_elements;
  layer.bias_elements = module.bias_elements;
  if (module.weight_elements) {
    layer.weight_item_bytes = module.weight_item_bytes;
    layer.weight_bits = static_cast<std::uint8_t>(8 * module.weight_item_bytes);
  }
}

bool read_conv(const LeafRule &rule, const LeafModule &module, Layer &layer) {
  const Names &n = names();
  PyObject *dict = module.dict;
  if (!read(dict, n.in_channels, layer.in_channels) ||
      !read(dict, n.out_channels, layer.out_channels) || !read(dict, n.groups, layer.groups) ||
      !read_window(item(dict, n.kernel_size), rule.spatial, layer.kernel) ||
      !read_window(item(dict, n.stride), rule.spatial, layer.stride) ||
      !read_window(item(dict, n.dilation), rule.spatial, layer.dilation))
    return false;
  PyObject *padding = item(dict, n.padding);
  if (padding != nullptr && PyUnicode_Check(padding)) {
    if (PyUnicode_Compare(padding, n.same) == 0) layer.flags |= flag_same_padding;
  } else if (!read_window(padding, rule.spatial, layer.padding)) {
    return false;
  }
  set_weights(module, layer);
  // Pruning tools cut weights but leave the attributes: then the rule does not apply.
  return layer.groups > 0 && layer.in_channels % layer.groups == 0 &&
         layer.weight_elements == layer.in_channels / layer.groups * layer.out_channels *
                                      layer.kernel[0] * layer.kernel[1] * layer.kernel[2];
}

/// Whether the input is large enough for padding that repeats parts of it.
bool can_pad(const LeafRule &rule, const LeafModule &module, const Layer &layer, const Dims &in) {
  PyObject *mode = item(module.dict, names().padding_mode);
  if (mode == nullptr || !PyUnicode_Check(mode)) return false;
  if (PyUnicode_Compare(mode, names().zeros) == 0) return true;
  const bool reflects = PyUnicode_Compare(mode, names().reflect) == 0;
  if (!reflects && PyUnicode_Compare(mode, names().circular) != 0) return true;
  for (std::size_t i = 0; i < rule.spatial; ++i) {
    const std::int64_t reach = std::int64_t{layer.dilation[i]} * (layer.kernel[i] - 1);
    const std::int64_t padding =
        layer.has(flag_same_padding) ? reach - reach / 2 : layer.padding[i];
    if (padding + (reflects ? 1 : 0) > in[in.rank - rule.spatial + i]) return false;
  }
  return true;
}

bool conv(const LeafRule &rule, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  if (!read_conv(rule, module, answer.layer) ||
      !conv_shape(answer.layer, rule.spatial, in, answer.out) ||
      !can_pad(rule, module, answer.layer, in))
    return false;
  set_sizes(answer.layer, in, answer.out, 1, in.rank == rule.spatial + 2);
  return true;
}

bool conv_transpose(const LeafRule &rule, const LeafModule &module, const Dims &in,
                    LeafAnswer &answer) {
  Layer &layer = answer.layer;
  if (!read_conv(rule, module, layer) ||
      !read_window(item(module.dict, names().output_padding), rule.spatial, layer.output_padding) ||
      !conv_transpose_shape(layer, rule.spatial, in, answer.out))
    return false;
  set_sizes(layer, in, answer.out, 1, in.rank == rule.spatial + 2);
  return true;
}

bool linear(const LeafRule &, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  Layer &layer = answer.layer;
  if (!read(module.dict, names().in_features, layer.in_channels) ||
      !read(module.dict, names().out_features, layer.out_channels))
    return false;
  set_weights(module, layer);
  if (layer.weight_elements != layer.in_channels * layer.out_channels ||
      !linear_shape(layer, in, answer.out))
    return false;
  set_sizes(layer, in, answer.out, -1, true);
  return true;
}

bool batch_norm(const LeafRule &rule, const LeafModule &module, const Dims &in,
                LeafAnswer &answer) {
  Layer &layer = answer.layer;
  std::int64_t features = 0;
  const bool right_rank = rule.spatial == 1   ? in.rank == 2 || in.rank == 3
                          : rule.spatial == 0 ? in.rank >= 2
                                              : in.rank == rule.spatial + 2;
  // In training mode torch checks the number of values and updates the statistics.
  if (!right_rank || is_true(module.dict, names().training) ||
      !read(module.dict, names().num_features, features) || in[1] != features)
    return false;
  set_weights(module, layer);
  PyObject *buffers = item(module.dict, names().buffers);
  if (buffers == nullptr || !PyDict_Check(buffers)) return false;
  if (!is_none(buffers, names().running_mean))
    layer.extra_elements = 2 * features;
  else if (in.elements() < 2 * features)
    return false; // too few values for statistics of their own
  answer.out = in;
  set_sizes(layer, in, in, 1, true);
  return true;
}

bool instance_norm(const LeafRule &rule, const LeafModule &module, const Dims &in,
                   LeafAnswer &answer) {
  std::int64_t features = 0;
  if (in.rank != rule.spatial + 2 || is_true(module.dict, names().training) ||
      !read(module.dict, names().num_features, features) || in[1] != features || in[0] == 0 ||
      in.elements(2, in.rank) < 2)
    return false;
  set_weights(module, answer.layer);
  answer.out = in;
  set_sizes(answer.layer, in, in, 1, true);
  return true;
}

bool group_norm(const LeafRule &, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  std::int64_t channels = 0, groups = 0;
  if (in.rank < 2 || !read(module.dict, names().num_channels, channels) || in[1] != channels ||
      !read(module.dict, names().num_groups, groups) || in.elements() < 2 * groups)
    return false;
  set_weights(module, answer.layer);
  answer.out = in;
  set_sizes(answer.layer, in, in, 1, true);
  return true;
}

bool trailing_norm(const LeafRule &, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  Dims normalized;
  if (!to_dims(item(module.dict, names().normalized_shape), normalized) || normalized.rank == 0 ||
      normalized.rank > in.rank)
    return false;
  for (std::size_t i = 0; i < normalized.rank; ++i)
    if (normalized[i] != in[in.rank - normalized.rank + i]) return false;
  set_weights(module, answer.layer);
  answer.out = in;
  set_sizes(answer.layer, in, in, -1, true);
  return true;
}

bool local_response_norm(const LeafRule &, const LeafModule &module, const Dims &in,
                         LeafAnswer &answer) {
  if (in.rank < 3 || in.elements() == 0 ||
      !to_size(item(module.dict, names().size), answer.layer.kernel[0]))
    return false;
  answer.out = in;
  set_sizes(answer.layer, in, in, 1, true);
  return true;
}

bool pool(const LeafRule &rule, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  const Names &n = names();
  PyObject *dict = module.dict;
  Layer &layer = answer.layer;
  if (is_true(dict, n.return_indices) ||
      !read_window(item(dict, n.kernel_size), rule.spatial, layer.kernel) ||
      !read_window(item(dict, is_none(dict, n.stride) ? n.kernel_size : n.stride), rule.spatial,
                   layer.stride))
    return false;
  PyObject *padding = item(dict, n.padding), *dilation = item(dict, n.dilation);
  if ((padding != nullptr && !read_window(padding, rule.spatial, layer.padding)) ||
      (dilation != nullptr && !read_window(dilation, rule.spatial, layer.dilation)))
    return false;
  // LPPool1d takes no tuples, and avg_pool3d no window larger than the input.
  if (rule.kind == Kind::lp_pool && rule.spatial == 1 && !PyLong_Check(item(dict, n.kernel_size)))
    return false;
  if (rule.kind != Kind::max_pool && rule.spatial == 3 && in.rank > 3)
    for (std::size_t i = 0; i < 3; ++i)
      if (layer.kernel[i] > in[in.rank - 3 + i]) return false;
  std::int64_t divisor = 1;
  if (!is_none(dict, n.divisor_override) &&
      (!read(dict, n.divisor_override, divisor) || divisor == 0))
    return false;
  if (is_true(dict, n.ceil_mode)) layer.flags |= flag_ceil_mode;
  if (item(dict, n.count_include_pad) == Py_False) layer.flags |= flag_exclude_padding;
  if (!pool_shape(layer, rule.spatial, in, answer.out)) return false;
  set_sizes(layer, in, answer.out, 1, in.rank == rule.spatial + 2);
  return true;
}

bool adaptive_pool(const LeafRule &rule, const LeafModule &module, const Dims &in,
                   LeafAnswer &answer) {
  PyObject *size = item(module.dict, names().output_size);
  if (size == nullptr || is_true(module.dict, names().return_indices)) return false;
  Layer target;
  for (std::size_t i = 0; i < rule.spatial; ++i) {
    PyObject *one = size;
    if (PyTuple_Check(size)) {
      if (PyTuple_GET_SIZE(size) != static_cast<Py_ssize_t>(rule.spatial)) return false;
      one = PyTuple_GET_ITEM(size, static_cast<Py_ssize_t>(i));
    }
    // None means "as the input" only inside a tuple, and not in 1-D.
    if (one == Py_None && one != size && rule.spatial > 1)
      target.kernel[i] = -1;
    else if (!to_size(one, target.kernel[i]))
      return false;
  }
  if (!adaptive_pool_shape(target, rule.spatial, in, answer.out)) return false;
  for (std::size_t i = 0; i < rule.spatial; ++i)
    answer.layer.kernel[i] = std::max(target.kernel[i], 0);
  set_sizes(answer.layer, in, answer.out, 1, in.rank == rule.spatial + 2);
  return true;
}

/// Activations: the shape stays, and an in-place one returns its input.
bool same_shape(const LeafRule &, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  answer.out = in;
  if (is_true(module.dict, names().inplace)) answer.output = Output::same;
  set_sizes(answer.layer, in, in, 1, true);
  return true;
}

bool prelu(const LeafRule &rule, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  if (module.weight_elements != 1 && (in.rank < 2 || in[1] != module.weight_elements)) return false;
  set_weights(module, answer.layer);
  return same_shape(rule, module, in, answer);
}

bool dropout(const LeafRule &rule, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  // In training torch checks ranks and draws numbers.
  if (is_true(module.dict, names().training)) return false;
  if (rule.spatial && in.rank != rule.spatial + 2) return false;
  same_shape(rule, module, in, answer);
  answer.output = Output::same;
  return true;
}

bool gelu(const LeafRule &rule, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  PyObject *approximate = item(module.dict, names().approximate);
  if (approximate == nullptr || !PyUnicode_Check(approximate)) return false;
  const std::string_view name = PyUnicode_AsUTF8(approximate);
  return (name == "none" || name == "tanh") && same_shape(rule, module, in, answer);
}

bool shrink(const LeafRule &rule, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  PyObject *width = item(module.dict, names().lambd);
  return width != nullptr && PyFloat_Check(width) && PyFloat_AS_DOUBLE(width) >= 0 &&
         same_shape(rule, module, in, answer);
}

bool identity(const LeafRule &rule, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  same_shape(rule, module, in, answer);
  answer.output = Output::same;
  return true;
}

bool flatten(const LeafRule &, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  std::int64_t first = 0, last = 0;
  if (!read(module.dict, names().start_dim, first) || !read(module.dict, names().end_dim, last) ||
      !flatten_shape(first, last, in, answer.out))
    return false;
  answer.output = Output::view;
  answer.layer.flags |= flag_unmoved;
  set_sizes(answer.layer, in, answer.out, 1, true);
  return true;
}

bool softmax(const LeafRule &, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  if (in.rank == 0) return false;
  const auto rank = static_cast<std::int64_t>(in.rank);
  std::int64_t dim = 0;
  if (is_none(module.dict, names().dim)) {
    dim = rank == 1 || rank == 3 ? 0 : 1; // torch's implicit choice
  } else if (!read(module.dict, names().dim, dim)) {
    return false;
  }
  if (dim < 0) dim += rank;
  if (dim < 0 || dim >= rank) return false;
  set_vector_sizes(answer.layer, in, static_cast<std::size_t>(dim));
  answer.out = in;
  return true;
}

bool embedding(const LeafRule &, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  std::int64_t width = 0;
  if (in.rank + 1 > Dims::capacity || !read(module.dict, names().embedding_dim, width) ||
      module.weight_dtype == nullptr)
    return false;
  answer.out = in;
  answer.out.push(width);
  answer.output = Output::of_weight;
  set_weights(module, answer.layer);
  // An embedding reads the rows that are looked up, not the whole table.
  answer.layer.weight_elements = answer.out.elements();
  set_sizes(answer.layer, in, answer.out, -1, true);
  answer.layer.batch = in.rank ? in[0] : 1;
  answer.layer.in_channels = 1;
  answer.layer.in_positions = in.rank ? in.elements(1, in.rank) : 1;
  answer.layer.out_channels = width;
  answer.layer.out_positions = answer.layer.in_positions;
  return true;
}

bool upsample(const LeafRule &, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  if (in.rank < 3 || in.rank > 5 || in.elements(1, in.rank) == 0) return false;
  const std::size_t spatial = in.rank - 2;
  answer.out = in;
  if (!is_none(module.dict, names().size)) {
    std::int32_t size[3] = {1, 1, 1};
    if (!read_window(item(module.dict, names().size), spatial, size)) return false;
    for (std::size_t i = 0; i < spatial; ++i) answer.out[2 + i] = size[i];
  } else {
    PyObject *factor = item(module.dict, names().scale_factor);
    for (std::size_t i = 0; i < spatial; ++i) {
      PyObject *one = factor;
      if (factor != nullptr && PyTuple_Check(factor)) {
        if (PyTuple_GET_SIZE(factor) != static_cast<Py_ssize_t>(spatial)) return false;
        one = PyTuple_GET_ITEM(factor, static_cast<Py_ssize_t>(i));
      }
      if (one == nullptr || !PyFloat_Check(one)) return false;
      answer.out[2 + i] = static_cast<std::int64_t>(
          std::floor(static_cast<double>(in[2 + i]) * PyFloat_AS_DOUBLE(one)));
    }
  }
  if (answer.out.elements(2, in.rank) < 1) return false;
  PyObject *mode = item(module.dict, names().mode);
  if (mode == nullptr || !PyUnicode_Check(mode)) return false;
  const std::string_view name = PyUnicode_AsUTF8(mode);
  const std::size_t rank = name == "linear"                          ? 1
                           : name == "bilinear" || name == "bicubic" ? 2
                           : name == "trilinear"                     ? 3
                                                                     : spatial;
  if (rank != spatial) return false;
  const Kind kind = name == "bicubic"          ? Kind::upsample_cubic
                    : name.ends_with("linear") ? Kind::upsample_linear
                                               : Kind::upsample_nearest;
  answer.layer.kind = static_cast<std::uint16_t>(kind);
  set_sizes(answer.layer, in, answer.out, 1, true);
  return true;
}

bool glu(const LeafRule &, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  std::int64_t dim = 0;
  if (!read(module.dict, names().dim, dim)) return false;
  if (dim < 0) dim += static_cast<std::int64_t>(in.rank);
  if (dim < 0 || dim >= static_cast<std::int64_t>(in.rank)) return false;
  answer.out = in;
  std::int64_t &halved = answer.out[static_cast<std::size_t>(dim)];
  if (halved % 2) return false;
  halved /= 2;
  set_sizes(answer.layer, in, answer.out, 1, true);
  return true;
}

bool pixel_shuffle(const LeafRule &, const LeafModule &module, const Dims &in, LeafAnswer &answer) {
  std::int64_t factor = 0;
  if (in.rank < 3 || !read(module.dict, names().upscale_factor, factor) || factor < 1) return false;
  answer.out = in;
  std::int64_t &channels = answer.out[in.rank - 3];
  if (channels % (factor * factor)) return false;
  channels /= factor * factor;
  answer.out[in.rank - 2] *= factor;
  answer.out[in.rank - 1] *= factor;
  set_sizes(answer.layer, in, answer.out, 1, in.rank == 4);
  return true;
}

/// Rules of the modules that need more than the shape of their input.
constexpr LeafRule own_rules[] = {
    {"conv1d", Kind::conv, &conv, 1},
    {"conv2d", Kind::conv, &conv, 2},
    {"conv3d", Kind::conv, &conv, 3},
    {"conv_transpose1d", Kind::conv_transpose, &conv_transpose, 1},
    {"conv_transpose2d", Kind::conv_transpose, &conv_transpose, 2},
    {"conv_transpose3d", Kind::conv_transpose, &conv_transpose, 3},
    {"linear", Kind::linear, &linear},
    {"batch_norm1d", Kind::batch_norm, &batch_norm, 1},
    {"batch_norm2d", Kind::batch_norm, &batch_norm, 2},
    {"batch_norm3d", Kind::batch_norm, &batch_norm, 3},
    {"sync_batch_norm", Kind::batch_norm, &batch_norm, 0},
    {"instance_norm1d", Kind::instance_norm, &instance_norm, 1},
    {"instance_norm2d", Kind::instance_norm, &instance_norm, 2},
    {"instance_norm3d", Kind::instance_norm, &instance_norm, 3},
    {"group_norm", Kind::group_norm, &group_norm},
    {"local_response_norm", Kind::local_response_norm, &local_response_norm},
    {"max_pool1d", Kind::max_pool, &pool, 1},
    {"max_pool2d", Kind::max_pool, &pool, 2},
    {"max_pool3d", Kind::max_pool, &pool, 3},
    {"avg_pool1d", Kind::avg_pool, &pool, 1},
    {"avg_pool2d", Kind::avg_pool, &pool, 2},
    {"avg_pool3d", Kind::avg_pool, &pool, 3},
    {"lp_pool1d", Kind::lp_pool, &pool, 1},
    {"lp_pool2d", Kind::lp_pool, &pool, 2},
    {"lp_pool3d", Kind::lp_pool, &pool, 3},
    {"adaptive_avg_pool1d", Kind::adaptive_avg_pool, &adaptive_pool, 1},
    {"adaptive_avg_pool2d", Kind::adaptive_avg_pool, &adaptive_pool, 2},
    {"adaptive_avg_pool3d", Kind::adaptive_avg_pool, &adaptive_pool, 3},
    {"adaptive_max_pool1d", Kind::adaptive_max_pool, &adaptive_pool, 1},
    {"adaptive_max_pool2d", Kind::adaptive_max_pool, &adaptive_pool, 2},
    {"adaptive_max_pool3d", Kind::adaptive_max_pool, &adaptive_pool, 3},
    {"upsample", Kind::upsample_nearest, &upsample},
    {"prelu", Kind::prelu, &prelu},
    {"gelu", Kind::gelu, &gelu},
    {"shrink", Kind::shrink, &shrink},
    {"glu", Kind::glu, &glu},
    {"softmax", Kind::softmax, &softmax},
    {"log_softmax", Kind::log_softmax, &softmax},
    {"dropout", Kind::dropout, &dropout, 0, Takes::anything},
    {"dropout1d", Kind::dropout, &dropout, 1, Takes::anything},
    {"dropout2d", Kind::dropout, &dropout, 2, Takes::anything},
    {"dropout3d", Kind::dropout, &dropout, 3, Takes::anything},
    {"identity", Kind::identity, &identity, 0, Takes::anything},
    {"flatten", Kind::identity, &flatten, 0, Takes::anything},
    {"embedding", Kind::embedding, &embedding, 0, Takes::indices},
    {"pixel_shuffle", Kind::move, &pixel_shuffle, 0, Takes::anything},
};

/// Kinds that keep the shape and are no class of modules in torch.
constexpr Kind functions_only[] = {Kind::quantize, Kind::normalize, Kind::cumulative};

/// True for kinds whose output has the shape of the input, and of which nothing else is to be
/// known: `same_shape` answers for the module of that name.
constexpr bool only_keeps_shape(const OpKind &row) {
  const auto has_own_rule = [&](const LeafRule &rule) { return rule.kind == row.kind; };
  return row.shape == ShapeRule::same && row.weights == WeightRule::none &&
         std::ranges::none_of(own_rules, has_own_rule) &&
         std::ranges::find(functions_only, row.kind) == std::end(functions_only);
}

/// Norms over trailing dimensions: `trailing_norm` answers for the module of that name.
constexpr bool is_trailing_norm(const OpKind &row) { return row.weights == WeightRule::trailing; }

constexpr std::size_t n_rules =
    std::size(own_rules) +
    static_cast<std::size_t>(std::ranges::count_if(rows::table, only_keeps_shape) +
                             std::ranges::count_if(rows::table, is_trailing_norm));

constexpr std::array<LeafRule, n_rules> rules = [] {
  std::array<LeafRule, n_rules> all{};
  auto next = std::ranges::copy(own_rules, all.begin()).out;
  for (const OpKind &row : rows::table)
    if (only_keeps_shape(row))
      *next++ = {row.name, row.kind, &same_shape};
    else if (is_trailing_norm(row))
      *next++ = {row.name, row.kind, &trailing_norm};
  return all;
}();

} // namespace

std::span<const LeafRule> leaf_rules() { return rules; }

} // namespace bopscount::tracer
