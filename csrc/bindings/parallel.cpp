#include "bindings/parallel.hpp"

#include <pybind11/pybind11.h>

namespace bopscount::bindings {

namespace py = pybind11;

void for_each_block_without_gil(std::size_t n_items, std::size_t block_size, std::size_t n_threads,
                                const std::function<void(const Block &)> &body) {
  const py::gil_scoped_release release;
  for_each_block(n_items, block_size, n_threads, body, [] {
    const py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  });
}

} // namespace bopscount::bindings
