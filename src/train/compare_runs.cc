#include "train/compare_runs.h"

#include <algorithm>
#include <utility>

namespace ettin {
namespace {

FedSummary summary_of(const std::vector<DataLogEntry>& log) {
  FedSummary sum;
  sum.steps = static_cast<int64_t>(log.size());
  for (const DataLogEntry& entry : log) sum.tokens += entry.tokens;
  if (!log.empty()) sum.chain = log.back().chain;
  return sum;
}

std::optional<FirstToken> first_token(const std::vector<FedAgain>& a,
                                      const std::vector<FedAgain>& b) {
  FirstToken found;
  const size_t most = std::max(a.size(), b.size());
  for (size_t i = 0; i < most; ++i) {
    found.place = static_cast<int64_t>(i);
    if (i < a.size()) found.a = a[i];
    if (i < b.size()) found.b = b[i];
    if (i >= a.size() || i >= b.size()) {
      (i >= a.size() ? found.a : found.b).reset();
      return found;
    }
    const auto& x = a[i].ids;
    const auto& y = b[i].ids;
    if (x == y && a[i].index == b[i].index) continue;
    if (x == y) return found;
    const auto at = std::mismatch(x.begin(), x.end(), y.begin(), y.end()).first;
    found.position = at - x.begin();
    return found;
  }
  return std::nullopt;
}

FirstStep describe(const DataLogEntry& a, const DataLogEntry& b, const BatchSource& batches_a,
                   const BatchSource& batches_b) {
  FirstStep step{a, b, std::nullopt, ""};
  const auto of_a = batches_a(a), of_b = batches_b(b);
  for (const auto* batch : {&of_a, &of_b}) {
    if (!batch->ok()) {
      step.unknown = batch->status().message();
      return step;
    }
  }
  step.token = first_token(*of_a, *of_b);
  return step;
}

BatchSource source_of(const std::string& run) {
  return [run](const DataLogEntry& entry) -> Result<std::vector<FedAgain>> {
    ETTIN_ASSIGN_OR_RETURN(FedBatches batches, FedBatches::open(run));
    return batches.batch(entry);
  };
}

}  // namespace

RunComparison compare_logs(const std::vector<DataLogEntry>& a, const std::vector<DataLogEntry>& b,
                           const BatchSource& batches_a, const BatchSource& batches_b) {
  RunComparison result;
  result.a = summary_of(a);
  result.b = summary_of(b);
  const size_t both = std::min(a.size(), b.size());
  size_t step = 0;
  while (step < both && a[step].chain == b[step].chain) ++step;
  result.common = static_cast<int64_t>(step);
  if (step < both) {
    result.first_difference = describe(a[step], b[step], batches_a, batches_b);
  }
  return result;
}

Result<RunComparison> compare_runs(const std::string& run_a, const std::string& run_b) {
  ETTIN_ASSIGN_OR_RETURN(const auto a, read_data_log(run_a));
  ETTIN_ASSIGN_OR_RETURN(const auto b, read_data_log(run_b));
  return compare_logs(a, b, source_of(run_a), source_of(run_b));
}

}  // namespace ettin
