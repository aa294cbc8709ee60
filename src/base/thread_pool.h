// The thread pool: every model that asks for the same number of threads shares one.
//
// parallel_for gives each thread a run of consecutive indices, the same one in every region of the
// same size, so that its cache still holds what it read before; who is done helps the others. So a
// task's result must depend on its index alone, never on the worker or on the number of threads:
// that is what makes every result of ettin independent of --threads. For the same reason a worker
// computes in the caller's floating-point mode (float_mode.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <type_traits>
#include <vector>

namespace ettin {

class ThreadPool {
 public:
  // `threads` counts the caller; 0 = the CPUs this process may run on.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // What comes to be read after the next region: while the workers wait for more, each brings the
  // start of its part of the bytes into its second-level cache.
  void read_ahead(std::span<const std::byte> bytes) {
    ahead_.store(bytes.data(), std::memory_order_relaxed);
    ahead_bytes_.store(bytes.size(), std::memory_order_relaxed);
  }

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls fn(index, worker) once for every index in [0, count), worker in [0, size()), and returns
  // when all are done. The caller works too. What fn throws (std::bad_alloc) is thrown again here,
  // after all other indices were run; of several exceptions, one. Concurrent calls from several
  // threads take turns; a call from inside fn deadlocks.
  template <class Fn>
  void parallel_for(int64_t count, Fn&& fn) {
    run(
        count,
        [](void* f, int64_t index, int worker) {
          (*static_cast<std::remove_reference_t<Fn>*>(f))(index, worker);
        },
        const_cast<void*>(static_cast<const void*>(&fn)));
  }

 private:
  using Task = void (*)(void* context, int64_t index, int worker);

  // A worker's part of a region: the region's number above, how many of its indices are left below.
  // One word, so that who comes late finds out in taking an index that its region is over.
  struct alignas(64) Share {
    std::atomic<uint64_t> word{0};
  };

  void run(int64_t count, Task task, void* context);
  void worker_loop(int worker);
  // Takes part in region `generation` until no index is left; returns how many it ran.
  int32_t work(uint32_t generation, int worker);
  int64_t share_end(int64_t count, int64_t worker) const { return count * (worker + 1) / size(); }

  std::mutex turn_;            // one region at a time
  std::vector<Share> shares_;  // [size()]
  // Written by the caller between regions, read by workers that may be late: hence atomic.
  std::atomic<int64_t> count_{0};
  std::atomic<Task> task_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<uint64_t> float_mode_{0};
  std::atomic<int> caller_cpu_{-1};
  std::atomic<const std::byte*> ahead_{nullptr};
  std::atomic<size_t> ahead_bytes_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};  // +1 per region; workers wait for a change
  alignas(64) std::atomic<int32_t> left_{0};         // indices that have not been run yet
  std::mutex failure_mutex_;
  std::exception_ptr failure_;  // the first one of the region
  std::atomic<bool> stop_{false};
  int spins_ = 0;  // before a thread sleeps
  std::vector<std::thread> workers_;
};

// The pool of this size (0: the CPUs), made for its first user and ended with its last.
std::shared_ptr<ThreadPool> shared_thread_pool(int threads);

// CPUs in this process's affinity mask, at least 1.
int available_cpus();

}  // namespace ettin
