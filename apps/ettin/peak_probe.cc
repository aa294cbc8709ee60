#include "peak_probe.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "peak_kernels.h"

namespace ettin::cli {
namespace {

constexpr double kSample = 0.002;      // seconds: short ones find the quiet moments
constexpr int64_t kPieces = 16;        // of one thread's share, handed out as they are finished
constexpr int64_t kChunk = 256 << 10;  // bytes that a thread reads at a stretch
constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int kSamples = 7;
constexpr size_t kHugePage = size_t{2} << 20;

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// `count` tasks on the pool, or on this thread alone.
void spread(ThreadPool& pool, int threads, int64_t count,
            const std::function<void(int64_t)>& task) {
  if (threads == 1) {
    for (int64_t i = 0; i < count; ++i) task(i);
  } else {
    pool.parallel_for(count, [&](int64_t i, int) { task(i); });
  }
}

// Rates of several samples of `work`, which does `amount` (1e9 of it per second is 1).
Peak sampled(std::string metric, std::string_view instruction, int threads, double amount,
             const std::function<void()>& work) {
  std::vector<double> rates;
  for (int i = 0; i < kSamples; ++i) rates.push_back(amount / 1e9 / seconds(work));
  std::sort(rates.begin(), rates.end());
  return {std::move(metric), std::string(instruction),
          threads,           rates[rates.size() / 2],
          rates.back(),      rates.size()};
}

Peak multiply_peak(ThreadPool& pool, const MultiplyKernel& kernel, int threads) {
  constexpr int64_t kTrial = 20'000;
  kernel.run(kTrial);
  const double trial = std::max(1e-6, seconds([&] { kernel.run(kTrial); }));
  const int64_t turns =
      std::max<int64_t>(1, static_cast<int64_t>(kTrial * kSample / trial / kPieces));
  const auto work = [&] {
    spread(pool, threads, kPieces * threads, [&](int64_t) { kernel.run(turns); });
  };
  return sampled(std::string(kernel.metric), kernel.instruction, threads,
                 kernel.operations * static_cast<double>(turns * kPieces * threads), work);
}

// Anonymous memory in huge pages, touched once, unmapped at the end.
class ProbeMemory {
 public:
  ProbeMemory(ThreadPool& pool, int64_t bytes) : size_(static_cast<size_t>(bytes) + kHugePage) {
    void* const mapped =
        ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return;
    mapped_ = static_cast<std::byte*>(mapped);
    const size_t over = reinterpret_cast<uintptr_t>(mapped) % kHugePage;
    data_ = mapped_ + (over == 0 ? 0 : kHugePage - over);
    ::madvise(data_, static_cast<size_t>(bytes), MADV_HUGEPAGE);
    spread(pool, pool.size(), bytes / kMiB, [&](int64_t i) {
      std::fill_n(data_ + i * kMiB, static_cast<size_t>(kMiB), std::byte{1});
    });
  }
  ~ProbeMemory() {
    if (mapped_ != nullptr) ::munmap(mapped_, size_);
  }
  ProbeMemory(const ProbeMemory&) = delete;
  ProbeMemory& operator=(const ProbeMemory&) = delete;
  const std::byte* data() const { return data_; }  // null: there was no memory

 private:
  size_t size_;
  std::byte* mapped_ = nullptr;
  std::byte* data_ = nullptr;
};

Peak read_peak(ThreadPool& pool, const std::byte* data, int64_t mib, int threads) {
  const ReadKernel read = read_kernel();
  const int64_t chunks = mib * kMiB / kChunk;
  const auto pass = [&](int64_t times) {
    spread(pool, threads, chunks * times,
           [&](int64_t i) { read(data + i % chunks * kChunk, kChunk); });
  };
  const double once = seconds([&] { pass(1); });
  const int64_t times = std::clamp<int64_t>(std::llround(kSample / std::max(once, 1e-6)), 1, 4096);
  return sampled(read_metric(static_cast<double>(mib * kMiB)), "aligned loads", threads,
                 static_cast<double>(mib * kMiB * times), [&] { pass(times); });
}

}  // namespace

int64_t read_mib(double bytes) {
  const double mib = std::ceil(bytes / static_cast<double>(kMiB));
  return static_cast<int64_t>(std::clamp(mib, 1.0, static_cast<double>(kMemoryMiB)));
}

std::string read_metric(double bytes) { return fmt::format("read_{}MiB", read_mib(bytes)); }

std::vector<Peak> measure_peaks(ThreadPool& pool, std::span<const int64_t> read_mib) {
  std::vector<int> counts = {1};
  if (pool.size() > 1) counts.push_back(pool.size());
  std::vector<Peak> peaks;
  for (const MultiplyKernel& kernel : multiply_kernels()) {
    for (const int threads : counts) peaks.push_back(multiply_peak(pool, kernel, threads));
  }
  if (read_mib.empty()) return peaks;
  const int64_t most = *std::max_element(read_mib.begin(), read_mib.end());
  const ProbeMemory memory(pool, most * kMiB);
  if (memory.data() == nullptr) return peaks;
  for (const int64_t mib : read_mib) {
    for (const int threads : counts) {
      peaks.push_back(read_peak(pool, memory.data(), mib, threads));
    }
  }
  return peaks;
}

double best_peak(std::span<const Peak> before, std::span<const Peak> after, std::string_view metric,
                 int threads) {
  double best = 0;
  for (const std::span<const Peak> peaks : {before, after}) {
    for (const Peak& peak : peaks) {
      if (peak.metric == metric && peak.threads == threads) best = std::max(best, peak.best);
    }
  }
  return best;
}

namespace {
double rounded(double value) { return std::round(value * 10) / 10; }
}  // namespace

Json peak_line(const Peak& peak) {
  return {{"kind", "peak"},          {"metric", peak.metric},        {"instr", peak.instruction},
          {"threads", peak.threads}, {"value", rounded(peak.value)}, {"best", rounded(peak.best)},
          {"runs", peak.runs}};
}

Json peak_table(std::span<const Peak> peaks) {
  Json table = Json::object();
  for (const Peak& peak : peaks) {
    table[peak.metric][fmt::format("{}", peak.threads)] = rounded(peak.best);
  }
  return table;
}

}  // namespace ettin::cli
