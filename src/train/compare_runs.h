// Whether two runs were fed the same: a comparison of their data logs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ettin/status.h"
#include "train/data_log.h"
#include "train/fed_batches.h"

namespace ettin {

struct FedSummary {
  int64_t steps = 0, tokens = 0;
  std::string chain;  // after the last step
};

// The first token that two batches do not share.
struct FirstToken {
  int64_t place = 0;                // of the sequence in the batch, from 0
  std::optional<FedAgain> a, b;     // the two sequences; absent: that batch is shorter
  std::optional<int64_t> position;  // from 0; absent: tokens are equal, only the numbers differ
};

struct FirstStep {
  DataLogEntry a, b;
  std::optional<FirstToken> token;
  std::string unknown;  // why the token is not known
};

struct RunComparison {
  FedSummary a, b;
  int64_t common = 0;  // steps that are equal
  std::optional<FirstStep> first_difference;

  bool identical() const { return !first_difference && a.steps == b.steps; }
  bool prefix() const { return !first_difference && a.steps != b.steps; }
};

// Makes the batch of a step again; called for the first step that differs.
using BatchSource = std::function<Result<std::vector<FedAgain>>(const DataLogEntry& entry)>;

RunComparison compare_logs(const std::vector<DataLogEntry>& a, const std::vector<DataLogEntry>& b,
                           const BatchSource& batches_a, const BatchSource& batches_b);

// Of two run folders, with their data where these are still there.
Result<RunComparison> compare_runs(const std::string& run_a, const std::string& run_b);

}  // namespace ettin
