#include "search/bits/bit_search.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/stl.h>

#include "bindings/bindings.hpp"
#include "bindings/parallel.hpp"

namespace bopscount::bindings {
namespace {

using Names = std::vector<std::string>;

/// Column of an operand whose width does not vary.
constexpr std::uint8_t one_bit = 1;

/// A bit-width search with named columns and sums.
class NamedBitSearch {
public:
  NamedBitSearch(Names columns, bool weights_vary, bool inputs_vary, bool portable)
      : columns_(std::move(columns)),
        search_(columns_.size(), {weights_vary, inputs_vary},
                portable ? Instructions::portable : best_instructions()) {}

  void add_layers(const py::array &layers, const py::array &columns, const std::string &rules,
                  const Names &metrics) {
    const auto records = layers_of(layers);
    require_layout(columns, py::dtype::of<std::int32_t>(), "columns");
    if (columns.size() != layers.size())
      throw py::value_error("columns must be as long as layers (" + std::to_string(layers.size()) +
                            "), got " + std::to_string(columns.size()));
    const std::span<const std::int32_t> column_of{static_cast<const std::int32_t *>(columns.data()),
                                                  records.size()};
    for (const std::int32_t column : column_of) {
      if (column >= 0) check_column(column);
    }
    std::vector<Metric> chosen;
    for (const std::string &name : metrics) chosen.push_back(metric_of(name));
    search_.add_layers(records, column_of, rules_of(rules), chosen);
    sums_.insert(sums_.end(), metrics.begin(), metrics.end());
  }

  void add_sum(
      std::string name, unsigned shift, const py::int_ &constant,
      const std::vector<std::pair<py::array_t<std::int64_t>, py::array_t<std::int64_t>>> &grids) {
    if (shift > 32) throw py::value_error("shift must be 0 to 32, got " + std::to_string(shift));
    BitSum &sum = search_.add_sum(shift);
    sums_.push_back(std::move(name));
    sum.add_constant(from_python(constant));
    for (const auto &[cells, shares] : grids) sum.add(grid_of(cells), shares_of(shares));
    sum.finish();
  }

  py::list count(const py::object &weight_bits, const py::object &input_bits,
                 std::size_t n_threads) const {
    const BitCandidates candidates = candidates_of(weight_bits, input_bits);
    py::list arrays;
    std::vector<std::int64_t *> values;
    for (std::size_t i = 0; i < sums_.size(); ++i)
      values.push_back(append<std::int64_t>(arrays, candidates.n_rows));
    run(candidates.n_rows, n_threads,
        [&](const Block &block) { search_.count(candidates, block.begin, block.end, values); });
    return arrays;
  }

  py::tuple count_wide(const py::object &weight_bits, const py::object &input_bits,
                       std::size_t begin, std::size_t end, std::size_t n_threads) const {
    const BitCandidates candidates = candidates_of(weight_bits, input_bits);
    if (begin > end || end > candidates.n_rows)
      throw py::value_error("begin and end must be a range of the candidates");
    py::list high_arrays, low_arrays;
    std::vector<std::int64_t *> high;
    std::vector<std::uint64_t *> low;
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      high.push_back(append<std::int64_t>(high_arrays, end - begin));
      low.push_back(append<std::uint64_t>(low_arrays, end - begin));
    }
    run(end - begin, n_threads, [&](const Block &block) {
      search_.count_wide(candidates, begin + block.begin, begin + block.end, begin, high, low);
    });
    return py::make_tuple(high_arrays, low_arrays);
  }

  const Names &sums() const { return sums_; }

private:
  template <class T> static T *append(py::list &arrays, std::size_t n) {
    py::array_t<T> array(static_cast<py::ssize_t>(n));
    arrays.append(array);
    return array.mutable_data();
  }

  void check_column(std::int64_t column) const {
    if (column < 0 || column >= static_cast<std::int64_t>(columns_.size()))
      throw py::value_error("columns must be below " + std::to_string(columns_.size()) + ", got " +
                            std::to_string(column));
  }

  static Metric metric_of(const std::string &name) {
    const auto found = std::find(metric_names.begin(), metric_names.end(), name);
    if (found == metric_names.end())
      throw py::value_error("metrics must be of METRICS, got '" + name + "'");
    return static_cast<Metric>(found - metric_names.begin());
  }

  BitGrid grid_of(const py::array_t<std::int64_t> &cells) const {
    BitGrid grid(search_.varied());
    if (cells.ndim() != 2 || static_cast<std::size_t>(cells.shape(0)) != grid.n_weight_bits ||
        static_cast<std::size_t>(cells.shape(1)) != grid.n_input_bits)
      throw py::value_error("grids must be of " + std::to_string(grid.n_weight_bits) + " x " +
                            std::to_string(grid.n_input_bits) + " cells");
    const auto cell = cells.unchecked<2>();
    for (std::size_t w = 1; w <= grid.n_weight_bits; ++w) {
      for (std::size_t a = 1; a <= grid.n_input_bits; ++a) {
        const std::int64_t cost =
            cell(static_cast<py::ssize_t>(w) - 1, static_cast<py::ssize_t>(a) - 1);
        if (cost < 0)
          throw py::value_error("grids must not be negative, got " + std::to_string(cost));
        grid.cells[grid.index(w, a)] = cost;
      }
    }
    return grid;
  }

  std::vector<Share> shares_of(const py::array_t<std::int64_t> &pairs) const {
    if (pairs.ndim() != 2 || pairs.shape(1) != 2)
      throw py::value_error("shares must be pairs of column and scale");
    const auto pair = pairs.unchecked<2>();
    std::vector<Share> shares;
    for (py::ssize_t i = 0; i < pairs.shape(0); ++i) {
      check_column(pair(i, 0));
      if (pair(i, 1) < 0)
        throw py::value_error("scales must not be negative, got " + std::to_string(pair(i, 1)));
      shares.push_back({static_cast<std::size_t>(pair(i, 0)), pair(i, 1)});
    }
    return shares;
  }

  /// Return the array's memory, of any strides; one row stands for any number of candidates.
  BitMatrix matrix_of(const py::object &bits, bool varies, const char *name,
                      std::size_t &n_rows) const {
    if (bits.is_none() == varies)
      throw py::value_error(std::string(name) + (varies ? " must be given" : " must be None"));
    if (!varies) return {&one_bit, 0, 0};
    if (!py::isinstance<py::array_t<std::uint8_t>>(bits))
      throw py::type_error(std::string(name) + " must be an array of uint8");
    const auto array = py::reinterpret_borrow<py::array>(bits);
    const py::ssize_t n_dims = array.ndim();
    if ((n_dims != 1 && n_dims != 2) ||
        static_cast<std::size_t>(array.shape(n_dims - 1)) != columns_.size())
      throw py::value_error(std::string(name) + " must have rows of " +
                            std::to_string(columns_.size()) + " columns");
    const auto *first = static_cast<const std::uint8_t *>(array.data());
    if (n_dims == 1) return {first, 0, array.strides(0)};
    const auto rows = static_cast<std::size_t>(array.shape(0));
    if (n_rows != no_rows && n_rows != rows)
      throw py::value_error("weight_bits and input_bits must have as many rows, got " +
                            std::to_string(n_rows) + " and " + std::to_string(rows));
    n_rows = rows;
    return {first, array.strides(0), array.strides(1)};
  }

  BitCandidates candidates_of(const py::object &weight_bits, const py::object &input_bits) const {
    std::size_t n_rows = no_rows;
    const BitMatrix weights =
        matrix_of(weight_bits, search_.varied().weight, "weight_bits", n_rows);
    const BitMatrix inputs = matrix_of(input_bits, search_.varied().input, "input_bits", n_rows);
    return {n_rows == no_rows ? 1 : n_rows, weights, inputs};
  }

  template <class CountBlock>
  void run(std::size_t n_candidates, std::size_t n_threads, CountBlock count_block) const {
    const auto of = [&](std::size_t column, std::size_t candidate) {
      return "'" + columns_[column] + "' of candidate " + std::to_string(candidate);
    };
    try {
      for_each_block_without_gil(n_candidates, search_.block_size(n_candidates), n_threads,
                                 count_block);
    } catch (const BadBits &error) {
      throw py::value_error(std::string(error.of_weight ? "weight_bits" : "input_bits") +
                            " must be 1 to " + std::to_string(max_bits) + ", got " +
                            std::to_string(error.value) + " for " +
                            of(error.column, error.candidate));
    } catch (const LayerCostOverflow &error) {
      throw_overflow("a cost of " + of(error.column, error.candidate) + " is over 2**63 - 1");
    } catch (const SumOverflow &error) {
      throw_overflow(sums_[error.sum] + " of candidate " + std::to_string(error.candidate) +
                     " is over 2**63 - 1; python_ints=True gives it all the same");
    }
  }

  [[noreturn]] static void throw_overflow(const std::string &what) {
    PyErr_SetString(PyExc_OverflowError, what.c_str());
    throw py::error_already_set();
  }

  static constexpr std::size_t no_rows = SIZE_MAX;
  Names columns_, sums_;
  BitSearch search_;
};

} // namespace

void register_search_bits(py::module_ &module) {
  py::class_<NamedBitSearch>(module, "BitSearch", "Sums over layers for rows of bit widths.")
      .def(py::init<Names, bool, bool, bool>(), py::arg("columns"), py::arg("weights_vary"),
           py::arg("inputs_vary"), py::arg("portable") = false,
           "Columns by name; an operand that does not vary keeps its widths.")
      .def("add_layers", &NamedBitSearch::add_layers, py::arg("layers").noconvert(),
           py::arg("columns").noconvert(), py::arg("rules"), py::arg("metrics"),
           "Appends a sum a metric: of all layers, layer i at the widths of columns[i] (int32), "
           "or at its own at -1.")
      .def("add_sum", &NamedBitSearch::add_sum, py::arg("name"), py::arg("shift"),
           py::arg("constant"), py::arg("grids"),
           "Appends (constant + the sum of scale * cells[w - 1, a - 1]) / 2**shift, rounded up, "
           "for each (column, scale) of each (cells, shares).")
      .def_property_readonly("sums", &NamedBitSearch::sums, "The names of the sums.")
      .def("count", &NamedBitSearch::count, py::arg("weight_bits"), py::arg("input_bits"),
           py::arg("n_threads"), "An int64 array a sum, of one entry a candidate.")
      .def("count_wide", &NamedBitSearch::count_wide, py::arg("weight_bits"), py::arg("input_bits"),
           py::arg("begin"), py::arg("end"), py::arg("n_threads"),
           "The same for sums of any size: arrays of their higher and lower 64 bits.");
}

} // namespace bopscount::bindings
