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

}  // namespace
}  // namespace ettin
