#include "core/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace bopscount {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto poll_interval = std::chrono::milliseconds(50);

/// State of one loop, shared by its threads.
class Loop {
public:
  Loop(std::size_t n_items, std::size_t block_size, std::size_t n_blocks,
       const std::function<void(const Block &)> &body)
      : n_items_(n_items), block_size_(block_size), n_blocks_(n_blocks), body_(body) {}

  /// Run blocks until none is left or a thread has failed.
  template <class BetweenBlocks> void work(std::size_t worker, BetweenBlocks between_blocks) {
    while (!stopped_.load(std::memory_order_relaxed)) {
      const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= n_blocks_) return;
      const std::size_t begin = index * block_size_;
      try {
        body_({begin, begin + std::min(block_size_, n_items_ - begin), worker});
      } catch (...) {
        fail(index, std::current_exception());
      }
      between_blocks();
    }
  }

  void stop() { stopped_.store(true, std::memory_order_relaxed); }

  /// Throw the error of the lowest failed block, if any; call it after all threads have ended.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

private:
  void fail(std::size_t index, std::exception_ptr error) {
    stop();
    const std::scoped_lock lock(mutex_);
    if (error_ && failed_block_ < index) return;
    failed_block_ = index;
    error_ = std::move(error);
  }

  const std::size_t n_items_, block_size_, n_blocks_;
  const std::function<void(const Block &)> &body_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::exception_ptr error_;
  std::size_t failed_block_ = 0;
};

/// Helper threads, joined at the end of the scope, also on an exception.
class Helpers {
public:
  Helpers(Loop &loop, std::size_t n_helpers) {
    threads_.reserve(n_helpers);
    try {
      for (std::size_t worker = 1; worker <= n_helpers; ++worker)
        threads_.emplace_back([&loop, worker] { loop.work(worker, [] {}); });
    } catch (const std::exception &) {
      // The system gives no more threads; the running ones and this one do all the work.
    }
  }
  Helpers(const Helpers &) = delete;
  Helpers &operator=(const Helpers &) = delete;
  ~Helpers() {
    for (std::thread &thread : threads_) thread.join();
  }

private:
  std::vector<std::thread> threads_;
};

} // namespace

void for_each_block(std::size_t n_items, std::size_t block_size, std::size_t n_threads,
                    const std::function<void(const Block &)> &body,
                    const std::function<void()> &poll) {
  if (n_items == 0) return;
  const std::size_t n_blocks = (n_items - 1) / block_size + 1;
  Loop loop(n_items, block_size, n_blocks, body);
  {
    const Helpers helpers(
        loop, std::clamp<std::size_t>(n_threads, 1, std::min(n_blocks, max_threads)) - 1);
    auto last_poll = Clock::now();
    loop.work(0, [&] {
      const auto now = Clock::now();
      if (now - last_poll < poll_interval) return;
      last_poll = now;
      try {
        poll();
      } catch (...) {
        loop.stop();
        throw;
      }
    });
  }
  loop.rethrow();
}

} // namespace bopscount
