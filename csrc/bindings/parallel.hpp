/// Loops over blocks without the interpreter's lock.
#pragma once

#include <cstddef>
#include <functional>

#include "core/parallel.hpp"

namespace bopscount::bindings {

/// `for_each_block` with the lock of the interpreter released; signals are looked after, so
/// that Ctrl-C raises KeyboardInterrupt. `body` touches no Python object.
void for_each_block_without_gil(std::size_t n_items, std::size_t block_size, std::size_t n_threads,
                                const std::function<void(const Block &)> &body);

} // namespace bopscount::bindings
