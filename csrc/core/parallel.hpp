/// Loop over blocks of items on several threads.
#pragma once

#include <cstddef>
#include <functional>

namespace bopscount {

/// Consecutive items [begin, end) that one thread processes at a time.
struct Block {
  std::size_t begin;
  std::size_t end;
  /// Number of the thread, below n_threads: an index for scratch space.
  std::size_t worker;
};

/// Largest number of threads for any `n_threads`: each has its scratch space.
inline constexpr std::size_t max_threads = 256;

/// Call `body` once for every block of `block_size` items (the last may be shorter) of
/// `n_items`, on `n_threads` threads, the first of which is the calling one. Free threads take
/// the next block, so blocks start in the order of the items.
///
/// `poll` is called on the calling thread between blocks, about twenty times a second, and
/// may throw: blocks should take milliseconds.
///
/// An exception of `body` stops all threads and is rethrown here. If several blocks throw, the
/// lowest one's exception is rethrown for any number of threads: all blocks below it have been
/// taken and are finished first. An exception of `poll` takes precedence.
void for_each_block(std::size_t n_items, std::size_t block_size, std::size_t n_threads,
                    const std::function<void(const Block &)> &body,
                    const std::function<void()> &poll);

} // namespace bopscount
