#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include "model/test_models.h"

namespace ettin {
namespace {

constexpr int64_t kRow = 2 * 32 * static_cast<int64_t>(sizeof(float));  // keys and values

// The window's length comes from config.json: memory follows the tokens, not what a file declares.
TEST(KvCache, ADeclaredWindowAllocatesNothing) {
  ModelConfig config = test::tiny_config(kDecoder);
  config.causal_window_keys = int64_t{1} << 24;
  KvCache cache(config, Dtype::f32);
  EXPECT_EQ(cache.bytes(), 0);
  cache.reserve(3);
  EXPECT_LE(cache.bytes(), 5 * 64 * kRow);
}

// Local layers stop growing at the window, global ones go on.
TEST(KvCache, RingsEndAtTheWindow) {
  ModelConfig config = test::tiny_config(kDecoder);  // layers 0 and 3 are global, the window is 4
  KvCache cache(config, Dtype::f32);
  for (int64_t past = 0; past < 1000; past += 10) {
    cache.reserve(10);
    cache.advance(10);
    EXPECT_EQ(cache.layer(1).keys.rows, 4);
    EXPECT_GE(cache.layer(0).keys.rows, cache.past());
  }
}

// What was stored before a growth is still there: position p in row p while a ring has not wrapped.
TEST(KvCache, GrowingKeepsRows) {
  ModelConfig config = test::tiny_config(kDecoder);
  config.causal_window_keys = 300;
  KvCache cache(config, Dtype::f32);
  for (int64_t p = 0; p < 300; ++p) {
    cache.reserve(1);
    for (const int64_t layer : {0, 1})
      *cache.layer(layer).keys.row<float>(p) = static_cast<float>(p);
    cache.advance(1);
  }
  for (const int64_t layer : {0, 1}) {
    for (int64_t p = 0; p < 300; ++p) {
      ASSERT_EQ(*cache.layer(layer).keys.row<float>(p), static_cast<float>(p)) << layer;
    }
  }
  EXPECT_EQ(cache.layer(1).keys.rows, 300);
}

// Growth ends at the number of positions that were announced, and the estimate is what it takes.
TEST(KvCache, NoMoreThanAnnounced) {
  const ModelConfig config = test::tiny_config(kDecoder);
  for (const int64_t positions : {2, 64, 100, 130}) {
    KvCache cache(config, Dtype::f32, positions);
    for (int64_t p = 0; p < positions; ++p) {
      cache.reserve(1);
      cache.advance(1);
    }
    EXPECT_EQ(cache.bytes(), KvCache::bytes_for(config, Dtype::f32, positions)) << positions;
  }
}

// A copy goes on like the original, from the end or, where the rings allow it, from before it.
TEST(KvCache, CopiesHoldWhatTheNextPositionSees) {
  ModelConfig config = test::tiny_config(kDecoder);
  config.causal_window_keys = 8;
  const auto write = [](KvCache& cache, int64_t p) {
    cache.reserve(1);
    for (const int64_t layer : {0, 1}) {
      const KvView view = cache.layer(layer);
      *view.keys.row<float>(p % view.keys.rows) = static_cast<float>(p);
      *view.values.row<float>(p % view.keys.rows) = static_cast<float>(-p);
    }
    cache.advance(1);
  };
  for (int64_t length = 1; length < 40; ++length) {
    KvCache cache(config, Dtype::f32);
    for (int64_t p = 0; p < length; ++p) write(cache, p);
    for (int64_t past = 0; past <= length; ++past) {
      ASSERT_EQ(cache.can_copy(past), length <= 8 || past + 1 >= length) << length << " " << past;
      if (!cache.can_copy(past)) continue;
      KvCache copy = cache.copy(past, past % 3);
      EXPECT_LE(copy.bytes(), cache.bytes() + 2 * 5 * kRow);
      for (int64_t p = past; p < past + 20; ++p) {
        write(copy, p);
        for (const int64_t layer : {0, 1}) {
          const KvView view = copy.layer(layer);
          for (int64_t seen = layer == 0 ? 0 : std::max<int64_t>(0, p - 7); seen <= p; ++seen) {
            const int64_t row = seen % view.keys.rows;
            ASSERT_EQ(*view.keys.row<float>(row), static_cast<float>(seen))
                << length << " " << past;
            ASSERT_EQ(*view.values.row<float>(row), static_cast<float>(-seen));
          }
        }
      }
    }
    EXPECT_FALSE(cache.can_copy(length + 1));
    EXPECT_FALSE(cache.can_copy(-1));
  }
}

}  // namespace
}  // namespace ettin
