/// A loop over blocks of items on several threads.
#pragma once

#include <cstddef>
#include <functional>

namespace bopscount {

/// Consecutive items [begin, end) that one thread works on at a time.
struct Block {
  std::size_t begin;
  std::size_t end;
  /// Which of the threads runs it, below n_threads: an index for scratch space.
  std::size_t worker;
};

/// More threads than this are not started, whatever is asked for: each has its scratch space.
inline constexpr std::size_t max_threads = 256;

/// Calls `body` once for every block of `block_size` items (the last may be shorter) of
/// `n_items`, on `n_threads` threads of which the calling one is the first. Threads take the
/// next block whenever they are free, so the order is that of the items, but for overlap.
///
/// `poll` is called on the calling thread between blocks, about twenty times a second, and
/// may throw: blocks should take milliseconds.
///
/// What `body` throws stops all threads and is thrown again here. Of several errors it is the
/// one of the lowest block, whatever the number of threads: all blocks below it have been
/// taken and are finished first. What `poll` throws goes first.
void for_each_block(std::size_t n_items, std::size_t block_size, std::size_t n_threads,
                    const std::function<void(const Block &)> &body,
                    const std::function<void()> &poll);

} // namespace bopscount
