// What this machine delivers right now: multiply-accumulate rates and read bandwidth, with one
// thread and with all that a model uses. Under half a second.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/thread_pool.h"

namespace ettin::cli {

struct Peak {
  std::string metric;  // "fp32", "bf16", "int8"; "read_16MiB": a set of that size, all threads' sum
  std::string instruction;
  int threads = 1;
  double value = 0;  // median of the samples: GFLOP/s, GOP/s or GB/s, all threads together
  double best = 0;
  size_t runs = 0;
};

// The set whose read bandwidth is that of main memory.
inline constexpr int64_t kMemoryMiB = 256;

// Size of the set that stands for `bytes`: rounded up, 1 to kMemoryMiB.
int64_t read_mib(double bytes);
// "read_16MiB" for a set of that many bytes.
std::string read_metric(double bytes);

// All multiply kinds that the machine has, and reads of sets of these sizes (1 .. kMemoryMiB).
// Threads are the pool's, because a second spinning pool would disturb the first. Memory of the
// probe is given back before the return.
std::vector<Peak> measure_peaks(ThreadPool& pool, std::span<const int64_t> read_mib);

// The best sample of `metric` with `threads` in either list, 0 when there is none.
double best_peak(std::span<const Peak> before, std::span<const Peak> after, std::string_view metric,
                 int threads);

// {"kind":"peak","metric":...}: the line that other engines' benchmark scripts print.
Json peak_line(const Peak& peak);
// {"fp32":{"1":...,"2":...},...}: the best samples.
Json peak_table(std::span<const Peak> peaks);

}  // namespace ettin::cli
