#include "infer/decode_prefix.h"

#include <numeric>

#include <gtest/gtest.h>

#include "model/test_models.h"

namespace ettin {
namespace {

std::vector<int32_t> count_to(int64_t n, int32_t last = -1) {
  std::vector<int32_t> ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), 0);
  if (last >= 0) ids.back() = last;
  return ids;
}

KvCache filled(int64_t positions) {
  KvCache cache(test::tiny_config(kDecoder), Dtype::f32);
  cache.reserve(positions);
  cache.advance(positions);
  return cache.copy(positions);
}

// The longest wins, one id of the prompt is always left over, and a ring serves its end alone.
TEST(PrefixCache, LongestUsableBeginning) {
  PrefixCache cache(1 << 20);
  cache.insert(count_to(40), filled(40));
  cache.insert(count_to(60), filled(60));
  cache.insert(count_to(3), filled(3));  // within the window of 4
  EXPECT_EQ(cache.find(count_to(50)).tokens, 40);
  EXPECT_EQ(cache.find(count_to(100)).tokens, 60);
  EXPECT_EQ(cache.find(count_to(60)).tokens, 59);
  EXPECT_EQ(cache.find(count_to(60, 7)).tokens, 59);
  EXPECT_EQ(cache.find(count_to(59, 7)).tokens, 40);
  EXPECT_EQ(cache.find(count_to(39)).tokens, 3);
  EXPECT_EQ(cache.find(count_to(2)).tokens, 1);
  EXPECT_EQ(cache.find(count_to(1)).tokens, 0);
  EXPECT_EQ(cache.find({}).tokens, 0);
}

TEST(PrefixCache, ForgetsWhatWasUsedLongestAgo) {
  const int64_t each = filled(40).bytes() + 40 * 4;
  PrefixCache cache(3 * each);
  std::vector<std::vector<int32_t>> ids;
  for (int32_t first = 0; first < 4; ++first) {
    ids.push_back(count_to(41));
    ids.back()[0] = first;
  }
  const auto kept = [](std::vector<int32_t> v) { return v.pop_back(), v; };
  for (size_t i = 0; i < 3; ++i) cache.insert(kept(ids[i]), filled(40));
  EXPECT_EQ(cache.bytes(), 3 * each);
  EXPECT_EQ(cache.use(ids[0]).tokens, 40);
  cache.insert(kept(ids[1]), filled(40));  // is there: a use
  EXPECT_EQ(cache.entries(), 3U);
  cache.insert(kept(ids[3]), filled(40));
  EXPECT_EQ(cache.bytes(), 3 * each);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(cache.find(ids[i]).tokens, i == 2 ? 0 : 40) << i;
  cache.insert(count_to(400), filled(400));  // larger than all
  EXPECT_EQ(cache.entries(), 3U);
}

}  // namespace
}  // namespace ettin
