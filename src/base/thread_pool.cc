#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/float_mode.h"

namespace ettin {
namespace {

// 0.1 to 0.5 ms: longer than the gaps between the regions of a forward and between two forwards.
constexpr int kSpins = 20000;

constexpr size_t kReadAhead = 384 * 1024;  // bytes of a thread: a part of the second-level cache
constexpr size_t kLine = 64;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Moves the calling thread to another CPU that it may run on, if there is one.
void leave_cpu(int cpu) {
  cpu_set_t all;
  CPU_ZERO(&all);
  if (::sched_getaffinity(0, sizeof(all), &all) != 0 || CPU_COUNT(&all) < 2) return;
  cpu_set_t others = all;
  CPU_CLR(cpu, &others);
  if (::sched_setaffinity(0, sizeof(others), &others) == 0) {
    ::sched_setaffinity(0, sizeof(all), &all);
  }
}

}  // namespace

int available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

std::shared_ptr<ThreadPool> shared_thread_pool(int threads) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<ThreadPool>> pools;
  const int size = threads > 0 ? threads : available_cpus();
  const std::lock_guard lock(mutex);
  std::shared_ptr<ThreadPool> pool = pools[size].lock();
  if (!pool) pools[size] = pool = std::make_shared<ThreadPool>(size);
  return pool;
}

ThreadPool::ThreadPool(int threads) {
  const int cpus = available_cpus(), total = threads > 0 ? threads : cpus;
  spins_ = total > cpus ? 0 : kSpins;  // spinning would only keep the others from their CPU
  shares_ = std::vector<Share>(static_cast<size_t>(total));
  workers_.reserve(static_cast<size_t>(total - 1));
  for (int w = 1; w < total; ++w) workers_.emplace_back([this, w] { worker_loop(w); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& t : workers_) t.join();
}

void ThreadPool::run(int64_t count, Task task, void* context) {
  if (count <= 0) return;
  if (count == 1 || workers_.empty()) {
    for (int64_t i = 0; i < count; ++i) task(context, i, 0);
    return;
  }
  ETTIN_CHECK(count <= INT32_MAX);
  const std::lock_guard lock(turn_);
  const uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  count_.store(count, std::memory_order_relaxed);
  task_.store(task, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  float_mode_.store(float_mode(), std::memory_order_relaxed);
  if (spins_ > 0) caller_cpu_.store(::sched_getcpu(), std::memory_order_relaxed);
  left_.store(static_cast<int32_t>(count), std::memory_order_relaxed);
  for (int w = 0; w < size(); ++w) {
    const auto indices = static_cast<uint64_t>(share_end(count, w) - share_end(count, w - 1));
    shares_[static_cast<size_t>(w)].word.store(uint64_t{generation} << 32 | indices,
                                               std::memory_order_relaxed);
  }
  // A read-modify-write, which notify_all() may not overtake: it looks for sleepers first.
  generation_.fetch_add(1, std::memory_order_acq_rel);
  generation_.notify_all();
  const int32_t mine = work(generation, 0);
  // Only the indices are waited for, not the workers: one that has not woken up holds up nobody.
  int32_t left = left_.fetch_sub(mine, std::memory_order_acq_rel) - mine;
  for (int spin = 0; left != 0 && spin < spins_; ++spin) {
    relax();
    left = left_.load(std::memory_order_acquire);
  }
  for (; left != 0; left = left_.load(std::memory_order_acquire)) {
    left_.wait(left, std::memory_order_acquire);
  }
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

int32_t ThreadPool::work(uint32_t generation, int worker) {
  const int64_t count = count_.load(std::memory_order_relaxed);
  const Task task = task_.load(std::memory_order_relaxed);
  void* const context = context_.load(std::memory_order_relaxed);
  const uint64_t mode = float_mode_.load(std::memory_order_relaxed);
  if (mode != float_mode()) set_float_mode(mode);
  int32_t done = 0;
  for (int at = 0; at < size(); ++at) {
    const int owner = worker + at < size() ? worker + at : worker + at - size();
    std::atomic<uint64_t>& share = shares_[static_cast<size_t>(owner)].word;
    uint64_t word = share.load(std::memory_order_relaxed);
    while (word >> 32 == generation && (word & UINT32_MAX) != 0) {
      if (!share.compare_exchange_weak(word, word - 1, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {
        continue;
      }
      // An index was left, so the region is not over and what was read above belongs to it.
      try {
        task(context, share_end(count, owner) - static_cast<int64_t>(word & UINT32_MAX), worker);
      } catch (...) {
        const std::lock_guard lock(failure_mutex_);
        if (!failure_) failure_ = std::current_exception();
      }
      ++done;
      word = share.load(std::memory_order_relaxed);
    }
  }
  return done;
}

void ThreadPool::worker_loop(int worker) {
  const size_t workers_and_caller = shares_.size();
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = generation_.load(std::memory_order_acquire);
    // A prefetch of memory that its owner has given back does nothing.
    const std::byte* const ahead = ahead_.load(std::memory_order_relaxed);
    const size_t bytes = ahead_bytes_.load(std::memory_order_relaxed);
    size_t at = bytes * static_cast<size_t>(worker) / workers_and_caller;
    const size_t end = std::min(bytes, at + kReadAhead);
    for (int spin = 0; now == seen && spin < spins_; ++spin) {
      if (at < end) {
        for (int line = 0; line < 4; ++line, at += kLine) __builtin_prefetch(ahead + at, 0, 2);
      } else {
        relax();
      }
      now = generation_.load(std::memory_order_acquire);
    }
    while (now == seen) {
      generation_.wait(seen, std::memory_order_acquire);
      now = generation_.load(std::memory_order_acquire);
    }
    seen = now;
    if (stop_.load(std::memory_order_relaxed)) return;
    // On the caller's CPU it would run only when the caller does not. A system whose other CPUs
    // have work leaves it there for long, because the caller does not wait for it.
    const int cpu = caller_cpu_.load(std::memory_order_relaxed);
    if (cpu >= 0 && cpu == ::sched_getcpu()) leave_cpu(cpu);
    const int32_t mine = work(now, worker);
    if (mine != 0 && left_.fetch_sub(mine, std::memory_order_acq_rel) == mine) left_.notify_one();
  }
}

}  // namespace ettin
