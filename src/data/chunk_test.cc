#include "data/chunk.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace ettin {
namespace {

constexpr ChunkOptions kOptions{
    .max_length = 22, .min_length = 10, .skip_below = 4, .first = 900, .last = 901, .seed = 42};

std::vector<int32_t> document(size_t length) {
  std::vector<int32_t> ids(length);
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

// What the chunks hold without [CLS], in order.
std::vector<uint32_t> joined(const std::vector<std::vector<uint32_t>>& chunks) {
  std::vector<uint32_t> out;
  for (const auto& chunk : chunks) {
    EXPECT_EQ(chunk[0], 900u);
    out.insert(out.end(), chunk.begin() + 1, chunk.end());
  }
  return out;
}

TEST(Chunk, EveryLength) {
  for (size_t length = 1; length < 130; ++length) {
    const std::vector<int32_t> ids = document(length);
    const auto chunks = chunk_document(ids, kOptions, length);
    const size_t whole = length + 1, rest = whole % 20;  // [SEP] included
    const bool dropped = whole > 20 && rest > 0 && rest < 4;
    const size_t kept = dropped ? whole - rest : whole;
    const std::vector<uint32_t> all = joined(chunks);
    ASSERT_EQ(all.size(), kept) << length;
    for (size_t i = 0; i + 1 < kept; ++i) EXPECT_EQ(all[i], i) << "moved, not copied";
    EXPECT_EQ(all.back() == 901u, !dropped || kept == whole);
    EXPECT_EQ(chunks.size(), dropped ? whole / 20 : (whole + 19) / 20);
    for (size_t k = 0; k + 2 < chunks.size(); ++k) EXPECT_EQ(chunks[k].size(), 21u);
    if (chunks.size() < 2 || dropped) continue;
    const size_t last = chunks.back().size() - 1, before = chunks[chunks.size() - 2].size() - 1;
    EXPECT_EQ(last + before, 20 + (rest == 0 ? 20 : rest));
    EXPECT_LE(last, 20u);
    if (rest == 0 || rest >= 10) {
      EXPECT_EQ(before, 20u) << "only short ones are filled";
    }
  }
}

TEST(Chunk, MovedLengthsAreUniformAndAFunctionOfSeedAndStream) {
  const std::vector<int32_t> ids = document(20 + 5 - 1);
  std::vector<int> counts(20);
  for (uint64_t stream = 0; stream < 15000; ++stream) {
    const auto chunks = chunk_document(ids, kOptions, stream);
    ASSERT_EQ(chunks.size(), 2u);
    ++counts[chunks[1].size() - 1 - 5];
  }
  for (size_t r = 0; r < 20; ++r) {
    if (r < 15) {
      EXPECT_NEAR(counts[r], 1000, 150) << r;
    } else {
      EXPECT_EQ(counts[r], 0) << r;
    }
  }
  EXPECT_EQ(chunk_document(ids, kOptions, 3), chunk_document(ids, kOptions, 3));
  ChunkOptions other = kOptions;
  other.seed = 43;
  std::set<size_t> sizes;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    other.seed = seed;
    sizes.insert(chunk_document(ids, other, 3)[1].size());
  }
  EXPECT_GT(sizes.size(), 5u);
}

TEST(Chunk, NoTokenIsPutInTwice) {
  const std::vector<int32_t> ids = {900, 5, 901};
  EXPECT_EQ(chunk_document(ids, kOptions, 0), (std::vector<std::vector<uint32_t>>{{900, 5, 901}}));
  EXPECT_EQ(chunk_document({}, kOptions, 0), (std::vector<std::vector<uint32_t>>{{900, 901}}));
}

}  // namespace
}  // namespace ettin
