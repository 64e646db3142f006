#include "core/count.hpp"

#include <vector>

#include "bindings/bindings.hpp"

namespace bopscount::bindings {
namespace {

/// Set an error with the layer's index in its text and as `.layer_index`.
void raise_for_layer(PyObject *type, std::size_t layer, const char *what) {
  const std::string text = "layer " + std::to_string(layer) + ": " + what;
  PyObject *error = PyObject_CallFunction(type, "s", text.c_str());
  if (error == nullptr) return;
  PyObject *index = PyLong_FromSize_t(layer);
  if (index != nullptr) PyObject_SetAttrString(error, "layer_index", index);
  PyErr_SetObject(type, error);
  Py_XDECREF(index);
  Py_DECREF(error);
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const LayerError &error) {
    raise_for_layer(PyExc_ValueError, error.layer, error.what());
  } catch (const LayerOverflow &error) {
    raise_for_layer(PyExc_OverflowError, error.layer, error.what());
  }
}

py::array py_layer_costs(const py::array &layers, const std::string &rules, const py::object &out,
                         bool discount_zeros) {
  const auto records = layers_of(layers);
  const Rules rule_set = rules_of(rules);
  if (!out.is_none() && !py::isinstance<py::array>(out))
    throw py::type_error("out must be a numpy array or None");
  py::array costs = out.is_none() ? py::array(cost_dtype(), layers.size())
                                  : py::reinterpret_borrow<py::array>(out);
  require_layout(costs, cost_dtype(), "out");
  if (costs.size() != layers.size())
    throw py::value_error("out must be as long as layers (" + std::to_string(layers.size()) +
                          "), got " + std::to_string(costs.size()));
  const std::span<Costs> target{static_cast<Costs *>(costs.mutable_data()), records.size()};
  {
    py::gil_scoped_release release;
    layer_costs(records, rule_set, target, discount_zeros);
  }
  return costs;
}

py::tuple py_count_totals(const py::array &layers, const std::string &rules, bool discount_zeros) {
  const auto records = layers_of(layers);
  const Rules rule_set = rules_of(rules);
  CostSums sums;
  {
    py::gil_scoped_release release;
    sums = count_totals(records, rule_set, discount_zeros);
  }
  return to_tuple(sums);
}

py::list py_count_groups(const py::array &layers, const py::array &groups, py::ssize_t n_groups,
                         const std::string &rules, bool discount_zeros) {
  const auto records = layers_of(layers);
  const Rules rule_set = rules_of(rules);
  require_layout(groups, py::dtype::of<std::int32_t>(), "groups");
  if (groups.size() != layers.size())
    throw py::value_error("groups must be as long as layers (" + std::to_string(layers.size()) +
                          "), got " + std::to_string(groups.size()));
  if (n_groups < 0)
    throw py::value_error("n_groups must not be negative, got " + std::to_string(n_groups));
  const std::span<const std::int32_t> group_of{static_cast<const std::int32_t *>(groups.data()),
                                               records.size()};
  for (const std::int32_t group : group_of) {
    if (group < -1 || group >= n_groups)
      throw py::value_error("groups must be -1 to " + std::to_string(n_groups - 1) + ", got " +
                            std::to_string(group));
  }
  std::vector<CostSums> sums(static_cast<std::size_t>(n_groups));
  {
    py::gil_scoped_release release;
    count_groups(records, group_of, rule_set, sums, discount_zeros);
  }
  py::list values(n_groups);
  for (std::size_t group = 0; group < sums.size(); ++group) values[group] = to_tuple(sums[group]);
  return values;
}

py::dtype make_cost_dtype() {
  py::list names, formats, offsets;
  for (std::size_t metric = 0; metric < metric_count; ++metric) {
    names.append(py::str(metric_names[metric]));
    formats.append(py::dtype::of<std::int64_t>());
    offsets.append(metric * sizeof(std::int64_t));
  }
  return py::dtype(names, formats, offsets, sizeof(Costs));
}

} // namespace

py::tuple to_tuple(const CostSums &sums) {
  py::tuple values(metric_count);
  for (std::size_t metric = 0; metric < metric_count; ++metric)
    values[metric] = to_python(sums[metric]);
  return values;
}

py::dtype cost_dtype() {
  static const py::handle dtype = make_cost_dtype().release();
  return py::reinterpret_borrow<py::dtype>(dtype);
}

Rules rules_of(const std::string &name) {
  if (name == "torchstat") return Rules::torchstat;
  if (name == "full") return Rules::full;
  throw py::value_error("rules must be 'torchstat' or 'full', got '" + name + "'");
}

py::object to_python(Int128 value) {
  if (value >= INT64_MIN && value <= INT64_MAX) return py::int_(static_cast<std::int64_t>(value));
  const py::int_ high(static_cast<std::int64_t>(value >> 64));
  const py::int_ low(static_cast<std::uint64_t>(value));
  return (high << py::int_(64)) | low;
}

Int128 from_python(const py::int_ &value) {
  const auto high = py::cast<std::int64_t>(py::object(value >> py::int_(64)));
  const auto low = py::cast<std::uint64_t>(py::object(value & py::int_(UINT64_MAX)));
  return (static_cast<Int128>(high) << 64) | static_cast<Int128>(low);
}

void register_count(py::module_ &module) {
  py::register_exception_translator(&translate);

  py::list names;
  for (const auto name : metric_names) names.append(py::str(name));
  module.attr("METRICS") = py::tuple(names);
  module.attr("COST_DTYPE") = cost_dtype();

  const auto discount_zeros = py::arg("discount_zeros").noconvert() = false;
  module.def("layer_costs", &py_layer_costs, py::arg("layers").noconvert(),
             py::arg("rules") = "torchstat", py::arg("out") = py::none(), discount_zeros,
             "Return the costs of every record as an array of COST_DTYPE (`out` if given).");
  module.def("count_totals", &py_count_totals, py::arg("layers").noconvert(),
             py::arg("rules") = "torchstat", discount_zeros,
             "Return exact sums over all records, one int per metric in the order of METRICS.");
  module.def(
      "count_groups", &py_count_groups, py::arg("layers").noconvert(),
      py::arg("groups").noconvert(), py::arg("n_groups"), py::arg("rules") = "torchstat",
      discount_zeros,
      "Return exact sums by group: record i belongs to groups[i] (int32), or to none at -1.");
  module.def("empty_call", [] {}, "Does nothing; what a call into the core costs.");
}

} // namespace bopscount::bindings
