#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace ettin {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

int32_t choose(const GenerateOptions& options, std::vector<double> logits,
               const std::vector<int32_t>& seen = {}, uint64_t stream = 0) {
  return Sampler(options, stream).choose(logits, seen);
}

// How often each id is drawn in `draws` steps of one stream.
std::map<int32_t, int> draw(const GenerateOptions& options, const std::vector<double>& logits,
                            int draws) {
  Sampler sampler(options, 0);
  std::map<int32_t, int> count;
  for (int i = 0; i < draws; ++i) {
    std::vector<double> copy = logits;
    ++count[sampler.choose(copy, {})];
  }
  return count;
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowestIdOfATie) {
  EXPECT_EQ(choose({}, {1, 3, 2, 3}), 1);
  EXPECT_EQ(choose({}, {-kInfinity, -5, -kInfinity}), 1);
  EXPECT_EQ(choose({}, {std::nan(""), 1, 2}), 2);
}

TEST(Sampler, RepetitionPenaltyCountsEachIdOnce) {
  GenerateOptions o;
  o.repetition_penalty = 2;
  EXPECT_EQ(choose(o, {4, 3, 1}, {0, 0, 0}), 1);    // 4 / 2 = 2 < 3; three times would be 0.5
  EXPECT_EQ(choose(o, {4, 1.9, 1}, {0, 0, 0}), 0);  // 2 > 1.9
  EXPECT_EQ(choose(o, {-1, -1.5, -9}, {0}), 1);     // -1 * 2 = -2 < -1.5
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  GenerateOptions o;
  o.temperature = 1;
  const std::vector<double> logits = {std::log(0.6), std::log(0.3), std::log(0.1), -kInfinity};
  const int draws = 40000;
  std::map<int32_t, int> count = draw(o, logits, draws);
  EXPECT_NEAR(count[0], 0.6 * draws, 500);  // five standard deviations
  EXPECT_NEAR(count[1], 0.3 * draws, 460);
  EXPECT_NEAR(count[2], 0.1 * draws, 300);
  EXPECT_EQ(count[3], 0);
  o.temperature = 0.5;  // squares the probabilities: 36 : 9 : 1
  count = draw(o, logits, draws);
  EXPECT_NEAR(count[0], 36.0 / 46 * draws, 415);
  EXPECT_NEAR(count[2], 1.0 / 46 * draws, 150);
}

TEST(Sampler, FiltersKeepWhatTheySay) {
  const std::vector<double> logits = {std::log(0.1), std::log(0.4), std::log(0.3), std::log(0.2)};
  const auto kept = [&](const GenerateOptions& o) {
    std::vector<int32_t> ids;
    for (const auto& [id, times] : draw(o, logits, 3000)) ids.push_back(id);
    return ids;
  };
  GenerateOptions o;
  o.temperature = 1;
  EXPECT_EQ(kept(o), (std::vector<int32_t>{0, 1, 2, 3}));
  o.top_k = 2;
  EXPECT_EQ(kept(o), (std::vector<int32_t>{1, 2}));
  o.top_k = 0;
  o.top_p = 0.65;  // 0.4 + 0.3 reaches it
  EXPECT_EQ(kept(o), (std::vector<int32_t>{1, 2}));
  o.top_p = 0.01;  // never less than one
  EXPECT_EQ(kept(o), (std::vector<int32_t>{1}));
  o.top_p = 1;
  o.min_p = 0.45;  // 0.2 / 0.4 stays, 0.1 / 0.4 goes
  EXPECT_EQ(kept(o), (std::vector<int32_t>{1, 2, 3}));
}

TEST(Sampler, TopKKeepsTiesAtTheThreshold) {
  GenerateOptions o;
  o.temperature = 1;
  o.top_k = 1;
  EXPECT_EQ(draw(o, {1, 2, 2, 0}, 500).size(), 2U);
}

TEST(Sampler, SameSeedAndStreamGiveTheSameDraws) {
  GenerateOptions o;
  o.temperature = 1;
  o.seed = 5;
  const std::vector<double> flat(1000, 0.0);
  EXPECT_EQ(choose(o, flat, {}, 3), choose(o, flat, {}, 3));
  EXPECT_NE(choose(o, flat, {}, 3), choose(o, flat, {}, 4));
  GenerateOptions other = o;
  other.seed = 6;
  EXPECT_NE(choose(o, flat, {}, 3), choose(other, flat, {}, 3));
}

// Candidates are put in order only as far as a draw reads: the draw is that of sorting them all.
TEST(Sampler, DrawsFromNearlyEqualCandidatesInOrder) {
  constexpr size_t kVocabulary = 3000;
  std::vector<double> logits(kVocabulary);
  for (size_t i = 0; i < kVocabulary; ++i) logits[i] = static_cast<double>(i * 7919 % 1500) / 3000;
  for (const double top_p : {1.0, 0.5}) {
    GenerateOptions o;
    o.temperature = 1;
    o.top_p = top_p;
    std::vector<std::pair<double, int32_t>> sorted;  // (-p, id)
    double sum = 0;
    for (const double l : logits) sum += std::exp(l);
    for (size_t i = 0; i < kVocabulary; ++i) {
      sorted.emplace_back(-std::exp(logits[i]) / sum, static_cast<int32_t>(i));
    }
    std::sort(sorted.begin(), sorted.end());
    if (top_p < 1) {
      double kept = 0;
      size_t n = 0;
      while (kept < top_p) kept -= sorted[n++].first;
      sorted.resize(n);
      for (auto& [p, id] : sorted) p /= kept;
    }
    Sampler sampler(o, 3);
    for (uint64_t step = 0; step < 500; ++step) {
      const double u = random_uniform(o.seed, 3, step);
      double reached = 0;
      size_t n = 0;
      while (n + 1 < sorted.size() && (reached -= sorted[n].first) <= u) ++n;
      std::vector<double> copy = logits;
      const int32_t id = sampler.choose(copy, {});
      // At an edge between two candidates, other roundings may fall on its other side.
      if (std::abs(reached - u) > 1e-9) {
        ASSERT_EQ(id, sorted[n].second) << top_p << " " << step;
      }
    }
  }
}

}  // namespace
}  // namespace ettin
