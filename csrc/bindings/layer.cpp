#include "bindings/bindings.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace bopscount::bindings {
namespace {

constexpr std::array<std::pair<const char *, int>, 6> bit_sources = {{
    {"floating", static_cast<int>(BitSource::floating)},
    {"user", static_cast<int>(BitSource::user)},
    {"adapter", static_cast<int>(BitSource::adapter)},
    {"producer", static_cast<int>(BitSource::producer)},
    {"dtype", static_cast<int>(BitSource::dtype)},
    {"measured", static_cast<int>(BitSource::measured)},
}};

constexpr std::array<std::pair<const char *, int>, 7> layer_flags = {{
    {"functional", flag_functional},
    {"ceil_mode", flag_ceil_mode},
    {"same_padding", flag_same_padding},
    {"causal", flag_causal},
    {"masked", flag_masked},
    {"exclude_padding", flag_exclude_padding},
    {"unmoved", flag_unmoved},
}};

template <std::size_t n>
py::dict to_dict(const std::array<std::pair<const char *, int>, n> &pairs) {
  py::dict names;
  for (const auto &[name, value] : pairs) names[name] = value;
  return names;
}

py::array_t<Layer> new_layers(py::ssize_t n_layers) {
  if (n_layers < 0)
    throw py::value_error("n_layers must not be negative, got " + std::to_string(n_layers));
  py::array_t<Layer> layers(n_layers);
  std::fill_n(layers.mutable_data(), n_layers, Layer{});
  return layers;
}

} // namespace

void require_dtype(const py::array &array, const py::dtype &dtype, const char *name) {
  if (!py::detail::npy_api::get().PyArray_EquivTypes_(array.dtype().ptr(), dtype.ptr()))
    throw py::type_error(std::string(name) + " must have dtype " +
                         py::cast<std::string>(py::str(dtype)) + ", got " +
                         py::cast<std::string>(py::str(array.dtype())));
}

void require_layout(const py::array &array, const py::dtype &dtype, const char *name) {
  require_dtype(array, dtype, name);
  // numpy calls every packed record aligned, so the address is looked at too.
  const auto address = reinterpret_cast<std::uintptr_t>(array.data());
  const auto alignment =
      std::min(static_cast<std::size_t>(array.itemsize()), alignof(std::int64_t));
  const bool contiguous = (array.flags() & py::array::c_style) != 0;
  if (array.ndim() != 1 || !contiguous || address % alignment != 0)
    throw py::value_error(std::string(name) +
                          " must be one-dimensional, C-contiguous and aligned, got " +
                          std::to_string(array.ndim()) + " dimensions; pass a .copy() of it");
}

std::span<const Layer> layers_of(const py::array &layers) {
  static const py::handle dtype = py::dtype::of<Layer>().release();
  require_layout(layers, py::reinterpret_borrow<py::dtype>(dtype), "layers");
  return {static_cast<const Layer *>(layers.data()), static_cast<std::size_t>(layers.size())};
}

void register_layer(py::module_ &module) {
  PYBIND11_NUMPY_DTYPE(Layer, calls, params, logical_params, batch, in_channels, in_positions,
                       out_channels, out_positions, groups, weight_elements, bias_elements,
                       extra_elements, nonzero_weights, owner, kernel, stride, padding, dilation,
                       output_padding, kind, flags, input_bits, weight_bits, output_bits,
                       input_bits_source, weight_bits_source, output_bits_source, input_item_bytes,
                       output_item_bytes, weight_item_bytes, reserved);
  module.attr("LAYER_DTYPE") = py::dtype::of<Layer>();
  module.attr("FULL_PRECISION") = full_precision;
  module.attr("MAX_LOW_BITS") = max_low_bits;
  module.attr("MAX_BITS") = max_bits;
  module.attr("BIT_SOURCES") = to_dict(bit_sources);
  module.attr("LAYER_FLAGS") = to_dict(layer_flags);
  module.def("new_layers", &new_layers, py::arg("n_layers"),
             "An array of n_layers records, every field at its default.");
}

} // namespace bopscount::bindings
