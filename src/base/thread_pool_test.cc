#include "base/thread_pool.h"

#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "base/float_mode.h"

namespace ettin {
namespace {

TEST(ThreadPool, EveryIndexRunsOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<int> hits(static_cast<size_t>(count), 0);
      for (int round = 0; round < 20; ++round) {
        pool.parallel_for(count, [&](int64_t i, int worker) {
          ASSERT_GE(worker, 0);
          ASSERT_LT(worker, threads);
          ++hits[static_cast<size_t>(i)];
        });
      }
      for (const int h : hits) ASSERT_EQ(h, 20);
    }
  }
}

// Regions follow each other while workers are still leaving the last one: an index that a late
// worker took from the wrong region would run twice or never, or with another region's function.
TEST(ThreadPool, LateWorkersTouchNothing) {
  ThreadPool pool(4);
  for (int round = 0; round < 20000; ++round) {
    const int64_t count = 2 + round % 7;
    std::atomic<int64_t> sum{0}, runs{0};
    pool.parallel_for(count, [&](int64_t i, int) {
      sum += i;
      ++runs;
    });
    ASSERT_EQ(runs, count);
    ASSERT_EQ(sum, count * (count - 1) / 2);
  }
}

// Each thread begins with a run of indices of its own, whoever is first.
TEST(ThreadPool, ConsecutiveIndicesFirst) {
  ThreadPool pool(2);
  for (int round = 0; round < 50; ++round) {
    std::atomic<bool> begun[2] = {false, false};
    std::vector<int> by(8, -1);
    pool.parallel_for(8, [&](int64_t i, int worker) {
      by[static_cast<size_t>(i)] = worker;
      begun[worker] = true;
      while (!begun[1 - worker]) std::this_thread::yield();  // else one may do it all
    });
    ASSERT_EQ(by[0], 0);
    ASSERT_EQ(by[4], 1);
  }
}

TEST(ThreadPool, WorkersComputeInTheModeOfTheCaller) {
#if !defined(__SSE__) && !defined(__aarch64__)
  GTEST_SKIP() << "SKIPPED: no floating-point mode is known for this CPU";
#endif
  ThreadPool pool(3);
  const volatile float least = std::numeric_limits<float>::min();
  const auto all_zero = [&] {
    std::vector<char> zero(3);  // what each thread sees: the caller may take any subnormal for 0
    std::atomic<int> begun{0};
    pool.parallel_for(3, [&](int64_t i, int) {
      for (++begun; begun < 3;) std::this_thread::yield();  // a thread each
      const volatile float half = least / 2;
      zero[static_cast<size_t>(i)] = half == 0;
    });
    EXPECT_TRUE(zero[0] == zero[1] && zero[1] == zero[2]);
    return zero[0] != 0;
  };
  EXPECT_FALSE(all_zero());
  {
    const SubnormalsAreZero zero;
    EXPECT_TRUE(all_zero());
  }
  EXPECT_FALSE(all_zero());
}

TEST(ThreadPool, SeveralCallersTakeTurns) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        pool.parallel_for(10, [&](int64_t i, int) { sum += i; });
      }
    });
  }
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(sum.load(), 4 * 200 * 45);
}

TEST(SharedThreadPool, OnePerSizeAsLongAsItHasUsers) {
  const auto two = shared_thread_pool(2);
  EXPECT_EQ(two->size(), 2);
  EXPECT_EQ(shared_thread_pool(2), two);
  EXPECT_NE(shared_thread_pool(3), two);
  EXPECT_EQ(shared_thread_pool(0)->size(), available_cpus());
  std::weak_ptr<ThreadPool> three = shared_thread_pool(3);
  EXPECT_TRUE(three.expired());
}

// The memory may run out in any thread; the caller hears of it, and the pool goes on.
TEST(ThreadPool, ExceptionsReachTheCaller) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    std::atomic<int> done = 0;
    for (const int64_t failing : {0, 99, 57}) {
      EXPECT_THROW(pool.parallel_for(100,
                                     [&](int64_t i, int) {
                                       if (i == failing) throw std::bad_alloc();
                                       ++done;
                                     }),
                   std::bad_alloc);
    }
    done = 0;
    pool.parallel_for(50, [&](int64_t, int) { ++done; });
    EXPECT_EQ(done, 50);
  }
}

}  // namespace
}  // namespace ettin
