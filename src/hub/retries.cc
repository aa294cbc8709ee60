#include "hub/retries.h"

#include <fmt/format.h>

#include <algorithm>

namespace ettin {

std::optional<double> Retries::next(const Outcome& outcome, bool progressed) {
  constexpr int kMostFailures = 5;
  constexpr double kFirstDelay = 0.25, kLongestDelay = 8;
  const bool broken = !outcome.trouble.empty();
  if (!outcome.refused.ok() || (!broken && !is_passing_failure(outcome.last().status))) return {};
  if (progressed) failures_ = 0;
  if (++failures_ >= kMostFailures) return {};
  if (const auto seconds = wanted_delay(outcome.last())) return *seconds;
  return std::min(kLongestDelay, kFirstDelay * (1 << failures_));
}

Status unreachable(const std::string& endpoint, const std::string& trouble) {
  return Status(
      StatusCode::network_error,
      fmt::format("cannot reach {}: {}", endpoint, trouble.empty() ? "no answer" : trouble),
      "check the network and HF_ENDPOINT; what was fetched so far is kept");
}

}  // namespace ettin
