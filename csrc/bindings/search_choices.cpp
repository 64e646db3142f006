// ChoiceTable: slots, alternatives, and the sums over very many candidates.
#include "search/choices/choice_table.hpp"

#include <algorithm>

#include "bindings/bindings.hpp"
#include "bindings/parallel.hpp"

namespace bopscount::bindings {
namespace {

constexpr std::size_t candidates_a_block = 1 << 15;

template <class T> std::vector<T> values_of(const py::array &array, const char *name) {
  require_layout(array, py::dtype::of<T>(), name);
  const auto *data = static_cast<const T *>(array.data());
  return {data, data + array.size()};
}

std::unique_ptr<ChoiceTable> make(const py::array &n_states, const py::array &n_choices,
                                  const py::array &next_states, const py::array &costs) {
  const auto states = values_of<std::int64_t>(n_states, "n_states");
  const auto alternatives = values_of<std::int64_t>(n_choices, "n_choices");
  auto next = values_of<std::int32_t>(next_states, "next_states");
  auto values = values_of<std::int64_t>(costs, "costs");
  if (states.size() != alternatives.size())
    throw py::value_error("n_states and n_choices must be of one length");
  std::vector<ChoiceSlot> slots;
  std::size_t first_row = 0;
  for (std::size_t slot = 0; slot < states.size(); ++slot) {
    if (states[slot] < 1 || alternatives[slot] < 1)
      throw py::value_error("n_states and n_choices must be positive");
    slots.push_back({static_cast<std::size_t>(states[slot]),
                     static_cast<std::size_t>(alternatives[slot]), first_row});
    first_row += slots.back().n_states * slots.back().n_choices;
  }
  const std::size_t n_metrics = next.empty() ? 0 : values.size() / next.size();
  return std::make_unique<ChoiceTable>(std::move(slots), std::move(values), std::move(next),
                                       n_metrics);
}

ChoiceArray choices_of(const py::array &array, const ChoiceTable &table) {
  const py::dtype dtype = array.dtype();
  if (dtype.kind() != 'i' && dtype.kind() != 'u')
    throw py::type_error("choices must be integers, got dtype " +
                         py::str(dtype).cast<std::string>());
  if (array.ndim() != 2 || static_cast<std::size_t>(array.shape(1)) != table.slots().size())
    throw py::value_error("choices must have shape (n_candidates, " +
                          std::to_string(table.slots().size()) + ")");
  ChoiceArray choices;
  choices.data = static_cast<const std::byte *>(array.data());
  choices.candidate_stride = array.strides(0);
  choices.slot_stride = array.strides(1);
  choices.n_candidates = static_cast<std::size_t>(array.shape(0));
  choices.n_slots = static_cast<std::size_t>(array.shape(1));
  choices.item_bytes = static_cast<std::uint8_t>(dtype.itemsize());
  choices.is_signed = dtype.kind() == 'i';
  choices.swapped = !dtype.attr("isnative").cast<bool>();
  return choices;
}

void count(const ChoiceTable &table, const py::array &array, const py::list &out,
           std::size_t n_threads, const std::string &kernel) {
  const ChoiceArray choices = choices_of(array, table);
  ChoiceKernel which = ChoiceKernel::best;
  if (kernel == "portable")
    which = ChoiceKernel::portable;
  else if (kernel == "walk")
    which = ChoiceKernel::walk;
  else if (kernel != "best")
    throw py::value_error("kernel must be 'best', 'portable' or 'walk', got '" + kernel + "'");
  if (out.size() != table.n_metrics())
    throw py::value_error("out must hold an array a metric (" + std::to_string(table.n_metrics()) +
                          "), got " + std::to_string(out.size()));
  std::vector<std::int64_t *> sums;
  for (const py::handle one : out) {
    auto target = py::cast<py::array>(one);
    require_layout(target, py::dtype::of<std::int64_t>(), "out");
    if (target.size() != array.shape(0))
      throw py::value_error("out must be as long as choices (" + std::to_string(array.shape(0)) +
                            "), got " + std::to_string(target.size()));
    sums.push_back(static_cast<std::int64_t *>(target.mutable_data()));
  }
  for_each_block_without_gil(
      choices.n_candidates, candidates_a_block, n_threads,
      [&](const Block &block) { table.count(choices, block.begin, block.end, sums, which); });
}

/// Set an error with the text of `error`, and with its place as attributes.
template <class Error> void raise(PyObject *type, const Error &error, const py::dict &where) {
  const py::object raised = py::reinterpret_borrow<py::object>(type)(error.what());
  for (const auto &[name, value] : where) py::setattr(raised, name, value);
  PyErr_SetObject(type, raised.ptr());
}

void translate(std::exception_ptr pointer) {
  using namespace pybind11::literals;
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const ChoiceError &error) {
    raise(PyExc_ValueError, error,
          py::dict("candidate"_a = error.candidate, "slot"_a = error.slot,
                   "choice"_a = py::int_(py::str(error.value)), "state"_a = error.state));
  } catch (const ChoiceOverflow &error) {
    raise(PyExc_OverflowError, error,
          py::dict("candidate"_a = error.candidate, "metric"_a = error.metric));
  }
}

} // namespace

void register_search_choices(py::module_ &module) {
  py::register_exception_translator(&translate);
  py::class_<ChoiceTable>(module, "ChoiceTable",
                          "Slots of alternatives with costs; a row a pair of state and choice.")
      .def(py::init(&make), py::arg("n_states").noconvert(), py::arg("n_choices").noconvert(),
           py::arg("next_states").noconvert(), py::arg("costs").noconvert())
      .def("count", &count, py::arg("choices").noconvert(), py::arg("out"),
           py::arg("n_threads") = 1, py::arg("kernel") = "best",
           "Writes every candidate's sums to the int64 arrays in `out`, one a metric; choices are "
           "integers of any type and strides.");
}

} // namespace bopscount::bindings
