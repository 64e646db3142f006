// Blocks of candidates' records.
#include <algorithm>
#include <array>
#include <vector>

#include "bindings/bindings.hpp"
#include "bindings/parallel.hpp"
#include "recording/recording.hpp"
#include "search/candidates/record_block.hpp"
#include "search/candidates/shapes.hpp"

namespace bopscount::bindings {
namespace {

/// Records per block of a thread: a millisecond or two.
constexpr std::size_t records_a_block = 1 << 16;

/// Set an error with `.candidate_index` and `.layer_index`, which is None for all layers.
void raise_for_candidate(PyObject *type, std::size_t candidate, std::size_t layer,
                         const char *what) {
  const bool one_layer = layer != CandidateOverflow::all_layers;
  const std::string where = "candidate " + std::to_string(candidate) +
                            (one_layer ? ", layer " + std::to_string(layer) : "");
  const py::object error = py::reinterpret_borrow<py::object>(type)(py::str(where + ": " + what));
  error.attr("candidate_index") = candidate;
  error.attr("layer_index") = one_layer ? py::object(py::int_(layer)) : py::none();
  PyErr_SetObject(type, error.ptr());
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const CandidateError &error) {
    raise_for_candidate(PyExc_ValueError, error.candidate, error.layer, error.what());
  } catch (const CandidateOverflow &error) {
    raise_for_candidate(PyExc_OverflowError, error.candidate, error.layer, error.what());
  }
}

/// Return the array's memory, of any strides; nothing is converted.
RecordBlock block_of(const py::array &records) {
  require_dtype(records, py::dtype::of<Layer>(), "records");
  if (records.ndim() != 2)
    throw py::value_error("records must be (n_candidates, n_layers), got " +
                          std::to_string(records.ndim()) + " dimensions");
  const auto address = reinterpret_cast<std::uintptr_t>(records.data());
  const auto strides = {records.strides(0), records.strides(1)};
  const auto alignment = static_cast<py::ssize_t>(alignof(Layer));
  if (address % alignof(Layer) != 0 ||
      std::ranges::any_of(strides, [&](py::ssize_t stride) { return stride % alignment != 0; }))
    throw py::value_error("records must be aligned to 8 bytes; pass a .copy() of them");
  return {static_cast<const std::byte *>(records.data()),
          static_cast<std::size_t>(records.shape(0)), static_cast<std::size_t>(records.shape(1)),
          records.strides(0), records.strides(1)};
}

std::vector<Metric> metrics_of(const py::tuple &names) {
  std::vector<Metric> metrics;
  for (const py::handle given : names) {
    const auto name = given.cast<std::string>();
    const auto found = std::ranges::find(metric_names, name);
    if (found == metric_names.end()) throw py::value_error("no metric is called '" + name + "'");
    metrics.push_back(static_cast<Metric>(found - metric_names.begin()));
  }
  return metrics;
}

std::size_t block_size(const RecordBlock &block) {
  return std::max<std::size_t>(1, records_a_block / std::max<std::size_t>(1, block.n_layers));
}

py::list count_on_64_bits(const RecordBlock &block, Rules rules, const std::vector<Metric> &metrics,
                          std::size_t n_threads) {
  py::list arrays;
  std::vector<std::int64_t *> totals;
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    py::array_t<std::int64_t> array(static_cast<py::ssize_t>(block.n_candidates));
    totals.push_back(array.mutable_data());
    arrays.append(std::move(array));
  }
  for_each_block_without_gil(
      block.n_candidates, block_size(block), n_threads, [&](const Block &part) {
        for (std::size_t candidate = part.begin; candidate < part.end; ++candidate) {
          const CostSums sums = count_candidate(block, candidate, rules);
          for (std::size_t i = 0; i < metrics.size(); ++i)
            totals[i][candidate] = narrow_sum(sums, metrics[i], candidate);
        }
      });
  return arrays;
}

/// Return the sums as Python ints; no further memory than `sums` is needed.
py::list count_as_python_ints(const RecordBlock &block, Rules rules,
                              const std::vector<Metric> &metrics, std::size_t n_threads) {
  py::list lists;
  for (std::size_t i = 0; i < metrics.size(); ++i)
    lists.append(py::list(static_cast<py::ssize_t>(block.n_candidates)));
  constexpr std::size_t at_a_time = 1 << 16;
  std::vector<CostSums> sums(std::min(at_a_time, block.n_candidates));
  for (std::size_t first = 0; first < block.n_candidates; first += at_a_time) {
    const std::size_t n = std::min(at_a_time, block.n_candidates - first);
    for_each_block_without_gil(n, block_size(block), n_threads, [&](const Block &part) {
      for (std::size_t i = part.begin; i < part.end; ++i)
        sums[i] = count_candidate(block, first + i, rules);
    });
    for (std::size_t metric = 0; metric < metrics.size(); ++metric) {
      const py::list values = lists[metric];
      for (std::size_t i = 0; i < n; ++i)
        values[first + i] = to_python(sums[i][static_cast<std::size_t>(metrics[metric])]);
    }
  }
  return lists;
}

py::list py_count_candidates(const py::array &records, const std::string &rules,
                             const py::tuple &metrics, std::size_t n_threads, bool python_ints) {
  const RecordBlock block = block_of(records);
  const auto count = python_ints ? &count_as_python_ints : &count_on_64_bits;
  return count(block, rules_of(rules), metrics_of(metrics), n_threads);
}

/// Check (n, rank) int64 shapes, one per record; raise a ValueError for anything else.
class Shapes {
public:
  Shapes(const py::array &array, std::size_t n_records, const char *name) {
    require_dtype(array, py::dtype::of<std::int64_t>(), name);
    const bool fits = array.ndim() == 2 && (array.flags() & py::array::c_style) != 0 &&
                      static_cast<std::size_t>(array.shape(0)) == n_records &&
                      static_cast<std::size_t>(array.shape(1)) <= Dims::capacity;
    if (!fits)
      throw py::value_error(std::string(name) + " must be C-contiguous (n_records, up to " +
                            std::to_string(Dims::capacity) + ")");
    sizes_ = static_cast<const std::int64_t *>(array.data());
    rank_ = static_cast<std::size_t>(array.shape(1));
  }

  std::size_t rank() const { return rank_; }
  Dims operator[](std::size_t record) const {
    Dims dims;
    for (std::size_t i = 0; i < rank_; ++i) dims.push(sizes_[record * rank_ + i]);
    return dims;
  }

private:
  const std::int64_t *sizes_ = nullptr;
  std::size_t rank_ = 0;
};

/// Return the output shapes, and the first record whose input does not fit, or -1.
py::tuple py_changed_shapes(const py::array &layers, std::size_t spatial, const py::array &inputs) {
  const auto records = layers_of(layers);
  const Shapes in(inputs, records.size(), "inputs");
  if (spatial > 3) throw py::value_error("spatial must be 0 to 3");
  py::array_t<std::int64_t> shapes(
      {static_cast<py::ssize_t>(records.size()), static_cast<py::ssize_t>(in.rank())});
  std::int64_t *sizes = shapes.mutable_data();
  std::fill_n(sizes, shapes.size(), 0);
  py::ssize_t first_bad = -1;
  for (std::size_t i = 0; i < records.size(); ++i) {
    Dims out;
    const bool fits =
        is_countable(in[i]) && changed_shape(records[i], spatial, in[i], out) && is_countable(out);
    if (!fits) {
      first_bad = static_cast<py::ssize_t>(i);
      break;
    }
    std::copy(out.begin(), out.end(), sizes + i * in.rank());
  }
  return py::make_tuple(shapes, first_bad);
}

/// Set batch, channels and positions of both sides; return the first record whose shapes cannot
/// be counted, or -1.
py::ssize_t py_set_sizes(py::array layers, const py::array &inputs, const py::array &outputs,
                         int channel_axis, bool batched) {
  const auto records = layers_of(layers);
  const Shapes in(inputs, records.size(), "inputs"), out(outputs, records.size(), "outputs");
  auto *writable = static_cast<Layer *>(layers.mutable_data());
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!is_countable(in[i]) || !is_countable(out[i])) return static_cast<py::ssize_t>(i);
    set_sizes(writable[i], in[i], out[i], channel_axis, batched);
  }
  return -1;
}

} // namespace

void register_search_blocks(py::module_ &module) {
  py::register_exception_translator(&translate);
  module.def("count_candidates", &py_count_candidates, py::arg("records").noconvert(),
             py::arg("rules"), py::arg("metrics"), py::arg("n_threads"),
             py::arg("python_ints") = false,
             "Sums over each row of records: one int64 array, or list of ints, a metric.");
  module.def("changed_shapes", &py_changed_shapes, py::arg("layers").noconvert(),
             py::arg("spatial"), py::arg("inputs").noconvert(),
             "Output shapes (n, rank) of windowed and linear layers, and the first that does not "
             "fit, or -1.");
  module.def("set_sizes", &py_set_sizes, py::arg("layers").noconvert(),
             py::arg("inputs").noconvert(), py::arg("outputs").noconvert(), py::arg("channel_axis"),
             py::arg("batched"),
             "Sets the sizes of records from shapes (n, rank); the first that cannot be counted, "
             "or -1.");
}

} // namespace bopscount::bindings
