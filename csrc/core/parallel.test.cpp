#include "core/parallel.hpp"

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace bopscount;

namespace {
void nothing() {}
void nap() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }
} // namespace

TEST_CASE("every item is in exactly one block, whatever the sizes") {
  for (const std::size_t n_items : {0, 1, 2, 7, 64, 1000}) {
    for (const std::size_t block_size : {1, 3, 64, 5000}) {
      for (const std::size_t n_threads : {1, 2, 8}) {
        std::vector<int> seen(n_items, 0);
        for_each_block(
            n_items, block_size, n_threads,
            [&](const Block &block) {
              CHECK(block.end - block.begin <= block_size);
              CHECK(block.worker < n_threads);
              for (std::size_t item = block.begin; item < block.end; ++item) ++seen[item];
            },
            nothing);
        CHECK(seen == std::vector<int>(n_items, 1));
      }
    }
  }
}

TEST_CASE("several threads work at the same time, and one of them is the caller") {
  std::atomic<int> inside{0};
  std::atomic<bool> met{false}, called_here{false};
  const auto here = std::this_thread::get_id();
  for_each_block(
      2, 1, 2,
      [&](const Block &block) {
        if (std::this_thread::get_id() == here) called_here = true;
        CHECK((std::this_thread::get_id() == here) == (block.worker == 0));
        ++inside;
        for (int i = 0; i < 5000 && !met; ++i) {
          if (inside == 2) met = true;
          nap();
        }
      },
      nothing);
  CHECK(met.load());
  CHECK(called_here.load());
}

TEST_CASE("no thread is started where one block is all there is") {
  const auto here = std::this_thread::get_id();
  for_each_block(
      5, 5, 8, [&](const Block &) { CHECK(std::this_thread::get_id() == here); }, nothing);
}

TEST_CASE("the error is that of the lowest block that fails") {
  for (const std::size_t n_threads : {1, 2, 3, 8}) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::string message;
      try {
        for_each_block(
            1000, 1, n_threads,
            [](const Block &block) {
              if (block.begin == 40) nap(); // others fail first
              if (block.begin >= 40) throw std::runtime_error(std::to_string(block.begin));
            },
            nothing);
      } catch (const std::runtime_error &error) {
        message = error.what();
      }
      CHECK(message == "40");
    }
  }
}

TEST_CASE("an error stops the other threads") {
  std::atomic<int> blocks{0};
  CHECK_THROWS_AS(for_each_block(
                      1'000'000, 1, 4,
                      [&](const Block &block) {
                        ++blocks;
                        if (block.begin == 0) throw std::runtime_error("first");
                        nap();
                      },
                      nothing),
                  std::runtime_error);
  CHECK(blocks.load() < 1000);
}

TEST_CASE("poll is called on the calling thread, and what it throws ends the loop") {
  const auto here = std::this_thread::get_id();
  for (const std::size_t n_threads : {1, 4}) {
    std::atomic<int> blocks{0};
    int polls = 0;
    CHECK_THROWS_WITH_AS(for_each_block(
                             1'000'000, 1, n_threads,
                             [&](const Block &block) {
                               ++blocks;
                               nap();
                               if (block.begin > 100'000) throw std::runtime_error("never");
                             },
                             [&] {
                               CHECK(std::this_thread::get_id() == here);
                               if (++polls == 2) throw std::logic_error("interrupted");
                             }),
                         "interrupted", std::logic_error);
    CHECK(polls == 2);
    CHECK(blocks.load() < 10'000);
  }
}

TEST_CASE("absurd numbers of threads are bounded") {
  std::atomic<std::size_t> highest{0};
  for_each_block(
      2000, 1, SIZE_MAX,
      [&](const Block &block) {
        std::size_t seen = highest;
        while (seen < block.worker && !highest.compare_exchange_weak(seen, block.worker)) {
        }
      },
      nothing);
  CHECK(highest.load() < max_threads);
}
