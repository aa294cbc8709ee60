// When work is worth sharing between threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/thread_pool.h"

namespace ettin::cpu {

// Calls fn(task) for every task; `nanoseconds` is an estimate of all of them on one thread.
template <class Fn>
void for_tasks(ThreadPool& threads, int64_t count, int64_t nanoseconds, const Fn& fn) {
  constexpr int64_t kMinRegion = 2'000;  // below, sharing costs more than it saves
  if (nanoseconds < kMinRegion || count <= 1) {
    for (int64_t i = 0; i < count; ++i) fn(i);
  } else {
    threads.parallel_for(count, [&](int64_t i, int) { fn(i); });
  }
}

// Cheap work on rows of about `cols` elements: several rows per task.
template <class Fn>
void for_rows(ThreadPool& threads, int64_t rows, int64_t cols, const Fn& fn) {
  constexpr int64_t kMinElements = 16 * 1024;
  if (rows * cols < kMinElements) {
    for (int64_t r = 0; r < rows; ++r) fn(r);
    return;
  }
  const int64_t per_task = std::max<int64_t>(1, kMinElements / 4 / std::max<int64_t>(1, cols));
  threads.parallel_for((rows + per_task - 1) / per_task, [&](int64_t task, int) {
    const int64_t end = std::min(rows, (task + 1) * per_task);
    for (int64_t r = task * per_task; r < end; ++r) fn(r);
  });
}

}  // namespace ettin::cpu
