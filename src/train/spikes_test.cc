#include "train/spikes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ettin {
namespace {

std::vector<double> norms(int64_t count) {
  std::vector<double> n;
  for (int64_t i = 0; i < count; ++i) remember_norm(1 + 0.01 * static_cast<double>(i % 7), &n);
  return n;
}

TEST(Spikes, FarAboveTheMedian) {
  const std::vector<double> recent = norms(100);
  EXPECT_EQ(static_cast<int64_t>(recent.size()), kNormsKept);
  EXPECT_TRUE(is_spike(recent, 10.5, 10));
  EXPECT_FALSE(is_spike(recent, 9.5, 10));
}

TEST(Spikes, NeverWithoutAFactorOrAHistory) {
  EXPECT_FALSE(is_spike(norms(100), 1e9, 0));
  EXPECT_FALSE(is_spike(norms(kNormsNeeded - 1), 1e9, 10));
  EXPECT_TRUE(is_spike(norms(kNormsNeeded), 1e9, 10));
}

// One spike among the kept norms does not make the next one look small.
TEST(Spikes, MedianForgetsOutliers) {
  std::vector<double> recent = norms(kNormsKept);
  remember_norm(1e6, &recent);
  EXPECT_TRUE(is_spike(recent, 20, 10));
}

}  // namespace
}  // namespace ettin
