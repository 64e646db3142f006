/// Parallel loops without the GIL.
#pragma once

#include <cstddef>
#include <functional>

#include "core/parallel.hpp"

namespace bopscount::bindings {

/// Run `for_each_block` with the GIL released. Checks signals, so that Ctrl-C raises
/// KeyboardInterrupt; `body` must not touch Python objects.
void for_each_block_without_gil(std::size_t n_items, std::size_t block_size, std::size_t n_threads,
                                const std::function<void(const Block &)> &body);

} // namespace bopscount::bindings
