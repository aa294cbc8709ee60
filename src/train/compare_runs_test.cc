// Logs that are equal, that begin alike, and that part.
#include "train/compare_runs.h"

#include <gtest/gtest.h>

namespace ettin {
namespace {

using Batch = std::vector<FedAgain>;

std::vector<Batch> batches(size_t steps) {
  std::vector<Batch> all(steps);
  for (size_t s = 0; s < steps; ++s) {
    for (int64_t i = 0; i < 3; ++i) {
      const auto index = static_cast<int64_t>(s) * 3 + i;
      all[s].push_back({index, 0, "shard", {1, static_cast<int32_t>(index), 7, 2}});
    }
  }
  return all;
}

std::vector<DataLogEntry> log_of(const std::vector<Batch>& fed) {
  std::vector<DataLogEntry> log;
  for (const Batch& batch : fed) {
    DataLogEntry entry;
    entry.step = static_cast<int64_t>(log.size()) + 1;
    std::vector<FedSequence> sequences;
    for (const FedAgain& one : batch) {
      sequences.push_back({one.index, one.ids});
      entry.tokens += static_cast<int64_t>(one.ids.size());
    }
    entry.sequences = static_cast<int64_t>(batch.size());
    entry.batch_hash = hash_batch(sequences);
    entry.chain = extend_chain(log.empty() ? "" : log.back().chain, entry.batch_hash);
    log.push_back(entry);
  }
  return log;
}

BatchSource source(const std::vector<Batch>& fed) {
  return [&fed](const DataLogEntry& entry) -> Result<Batch> {
    return fed[static_cast<size_t>(entry.step - 1)];
  };
}

RunComparison compare(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  return compare_logs(log_of(a), log_of(b), source(a), source(b));
}

TEST(CompareRuns, EqualRunsAreIdentical) {
  const auto fed = batches(5);
  const RunComparison result = compare(fed, fed);
  EXPECT_TRUE(result.identical());
  EXPECT_FALSE(result.prefix());
  EXPECT_EQ(result.a.steps, 5);
  EXPECT_EQ(result.a.tokens, 60);
  EXPECT_EQ(result.a.chain, result.b.chain);
  EXPECT_TRUE(compare({}, {}).identical());
}

TEST(CompareRuns, AShorterRunIsABeginning) {
  const RunComparison result = compare(batches(5), batches(3));
  EXPECT_FALSE(result.identical());
  EXPECT_TRUE(result.prefix());
  EXPECT_EQ(result.common, 3);
  EXPECT_TRUE(compare({}, batches(2)).prefix());
}

TEST(CompareRuns, FindsTheFirstTokenThatDiffers) {
  const auto a = batches(5);
  auto b = a;
  b[3][1].ids[2] = 8;
  b[4][0].ids[1] = 9;  // later ones do not matter
  const RunComparison result = compare(a, b);
  ASSERT_TRUE(result.first_difference);
  EXPECT_FALSE(result.identical() || result.prefix());
  EXPECT_EQ(result.common, 3);
  EXPECT_EQ(result.first_difference->a.step, 4);
  const auto& token = result.first_difference->token;
  ASSERT_TRUE(token);
  EXPECT_EQ(token->place, 1);
  EXPECT_EQ(token->position, 2);
  EXPECT_EQ(token->a->ids[2], 7);
  EXPECT_EQ(token->b->ids[2], 8);
}

TEST(CompareRuns, SequencesThatEndOrAreMissing) {
  const auto a = batches(2);
  auto b = a;
  b[0][2].ids.pop_back();
  auto token = compare(a, b).first_difference->token;
  EXPECT_EQ(token->place, 2);
  EXPECT_EQ(token->position, 3);  // where one of the two ends
  b = a;
  b[1].pop_back();
  token = compare(a, b).first_difference->token;
  EXPECT_EQ(token->place, 2);
  EXPECT_TRUE(token->a && !token->b);
  EXPECT_FALSE(token->position);
  b = a;
  b[1][0].index = 99;  // the same tokens under another number
  token = compare(a, b).first_difference->token;
  EXPECT_EQ(token->place, 0);
  EXPECT_FALSE(token->position);
  EXPECT_EQ(token->b->index, 99);
}

TEST(CompareRuns, WithoutTheDataTheStepIsKnown) {
  const auto a = batches(2);
  auto b = a;
  b[1][0].ids[0] = 5;
  const BatchSource gone = [](const DataLogEntry&) -> Result<Batch> {
    return Status(StatusCode::not_found, "data/index.json: no such file");
  };
  const RunComparison result = compare_logs(log_of(a), log_of(b), source(a), gone);
  ASSERT_TRUE(result.first_difference);
  EXPECT_EQ(result.first_difference->a.step, 2);
  EXPECT_FALSE(result.first_difference->token);
  EXPECT_EQ(result.first_difference->unknown, "data/index.json: no such file");
}

}  // namespace
}  // namespace ettin
