#include "base/half.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace ettin {
namespace {

TEST(Half, EveryPatternRoundTrips) {
  for (uint32_t u = 0; u < 0x10000; ++u) {
    const auto h = static_cast<uint16_t>(u);
    const float f = fp16_to_float(h), b = bf16_to_float(h);
    if (!std::isnan(f)) {
      ASSERT_EQ(float_to_fp16(f), h);
    }
    if (!std::isnan(b)) {
      ASSERT_EQ(float_to_bf16(b), h);
    }
  }
}

TEST(Half, RoundsToNearestEvenAndKeepsSpecials) {
  EXPECT_EQ(float_to_bf16(1.0f + 0x1p-8f), float_to_bf16(1.0f));  // tie to even
  EXPECT_EQ(float_to_bf16(1.0f + 0x1p-7f + 0x1p-8f), float_to_bf16(1.0f + 0x1p-6f));
  EXPECT_EQ(fp16_to_float(0x3c01), 1.0009765625f);
  EXPECT_EQ(float_to_fp16(1.0f + 0x1p-11f), 0x3c00);  // tie to even
  EXPECT_EQ(float_to_fp16(1.0f + 0x1p-10f + 0x1p-11f), 0x3c02);
  EXPECT_EQ(float_to_fp16(-65519.0f), 0xfbff);
  EXPECT_EQ(float_to_fp16(65520.0f), 0x7c00);  // the first that rounds to infinity
  EXPECT_EQ(float_to_fp16(0x1p-25f), 0);       // half of the smallest: tie to even
  EXPECT_EQ(float_to_fp16(0x1.8p-24f), 2);     // and above
  EXPECT_EQ(float_to_fp16(-0x1.ff8p-15f), 0x83ff);
  EXPECT_TRUE(std::isnan(fp16_to_float(float_to_fp16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::infinity()), 0x7f80);
}

}  // namespace
}  // namespace ettin
