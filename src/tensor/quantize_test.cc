#include "tensor/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "base/rng.h"
#include "tensor/hadamard.h"
#include "tensor/stored_matrix.h"

namespace ettin {
namespace {

std::vector<float> random_row(uint64_t stream, size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) {
    x[i] = static_cast<float>(4 * random_uniform(7, stream, i) - 2);
  }
  return x;
}

TEST(QuantizeQ8, StaysWithinHalfAStep) {
  for (const size_t n : {1u, 5u, 64u, 385u}) {
    const std::vector<float> x = random_row(n, n);
    std::vector<int8_t> q(n);
    const float scale = quantize_q8(x, q);
    float most = 0;
    for (size_t i = 0; i < n; ++i) {
      EXPECT_LE(std::fabs(x[i] - scale * static_cast<float>(q[i])), scale * 0.50001f);
      most = std::max(most, std::fabs(static_cast<float>(q[i])));
    }
    EXPECT_EQ(most, 127);
  }
}

TEST(QuantizeQ8, ZeroAndNonFiniteRows) {
  std::vector<int8_t> q(3, 9);
  EXPECT_EQ(quantize_q8(std::vector<float>{0, 0, 0}, q), 0);
  EXPECT_EQ(q, (std::vector<int8_t>{0, 0, 0}));
  EXPECT_TRUE(std::isnan(quantize_q8(std::vector<float>{1, NAN, 2}, q)));
  EXPECT_EQ(q, (std::vector<int8_t>{0, 0, 0}));
  EXPECT_TRUE(std::isnan(quantize_q8(std::vector<float>{1, -INFINITY, 2}, q)));
}

TEST(QuantizeQ4, StaysWithinAStepAndKeepsZeros) {
  for (const size_t n : {1u, 31u, 32u, 64u, 77u}) {
    std::vector<float> x = random_row(n + 50, n);
    x[n / 2] = 0;
    std::vector<uint8_t> q(n);
    std::vector<uint16_t> scales(static_cast<size_t>(q4_blocks(static_cast<int64_t>(n))));
    quantize_q4(x, q, scales);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_LE(q[i], 15);
      const float scale = fp16_to_float(scales[i / kQ4Block]);
      EXPECT_LE(std::fabs(x[i] - scale * static_cast<float>(q[i] - kQ4Zero)),
                std::fabs(scale) * 1.3f);
    }
    EXPECT_EQ(q[n / 2], kQ4Zero);
  }
}

TEST(QuantizeQ4, AZeroBlockIsZero) {
  std::vector<uint8_t> q(32, 3);
  std::vector<uint16_t> scale(1);
  quantize_q4(std::vector<float>(32, 0.0f), q, scale);
  EXPECT_EQ(fp16_to_float(scale[0]), 0);
  EXPECT_EQ(q, std::vector<uint8_t>(32, kQ4Zero));
}

// A file's integers give the same rows as the rounding that made them.
TEST(StoredMatrix, ReadsItsOwnRounding) {
  constexpr size_t kIn = 70, kOut = 3;
  const std::vector<float> x = random_row(3, kIn * kOut);
  StoredTensor floating{"x", Dtype::f32, {kOut, kIn}, std::as_bytes(std::span(x))};
  std::vector<int8_t> q8(kIn * kOut);
  std::vector<float> q8_scales(kOut);
  std::vector<uint8_t> packed(kOut * kIn / 2);
  std::vector<uint16_t> q4_scales(kOut * 3);
  for (size_t r = 0; r < kOut; ++r) {
    const auto row = std::span(x).subspan(r * kIn, kIn);
    std::vector<float> rotated(row.begin(), row.end());
    rotate_row(std::span(rotated));
    q8_scales[r] = quantize_q8(rotated, std::span(q8).subspan(r * kIn, kIn));
    std::vector<uint8_t> nibbles(kIn);
    quantize_q4(row, nibbles, std::span(q4_scales).subspan(r * 3, 3));
    for (size_t i = 0; i < kIn; i += 2) {
      packed[(r * kIn + i) / 2] = static_cast<uint8_t>(nibbles[i] | nibbles[i + 1] << 4);
    }
  }
  const StoredTensor v8{"v", Dtype::i8, {kOut, kIn}, std::as_bytes(std::span(q8))};
  const StoredTensor s8{"s", Dtype::f32, {kOut}, std::as_bytes(std::span(q8_scales))};
  const StoredTensor v4{"v", Dtype::u8, {kOut, kIn / 2}, std::as_bytes(std::span(packed))};
  const StoredTensor s4{"s", Dtype::f16, {kOut, 3}, std::as_bytes(std::span(q4_scales))};
  const StoredMatrix original(&floating), m8(&v8, &s8, kIn), m4(&v4, &s4, kIn);
  EXPECT_EQ(m8.format(), WeightFormat::q8);
  EXPECT_EQ(m4.format(), WeightFormat::q4);
  for (int64_t r = 0; r < 3; ++r) {
    std::vector<int8_t> a(kIn), b(kIn);
    EXPECT_EQ(read_row_q8(original, r, a), read_row_q8(m8, r, b));
    EXPECT_EQ(a, b);
    std::vector<float> wide(kIn);
    read_row(m8, r, wide);
    std::vector<double> exact(kIn);
    read_row(m8, r, exact);
    const float scale = q8_scales[static_cast<size_t>(r)];
    EXPECT_EQ(wide[69], static_cast<float>(b[69]) * scale);  // behind the rotated run
    for (size_t i = 0; i < kIn; ++i) {
      const float original_value = x[static_cast<size_t>(r) * kIn + i];
      EXPECT_NEAR(wide[i], original_value, 4 * scale) << i;  // not rotated any more
      EXPECT_NEAR(exact[i], wide[i], 1e-6) << i;
    }
    std::vector<uint8_t> c(kIn), d(kIn);
    std::vector<uint16_t> e(3), f(3);
    read_row_q4(original, r, c, e);
    read_row_q4(m4, r, d, f);
    EXPECT_EQ(c, d);
    EXPECT_EQ(e, f);
    read_row(m4, r, wide);
    EXPECT_EQ(wide[69], static_cast<float>(d[69] - kQ4Zero) * fp16_to_float(f[2]));
  }
}

TEST(WeightFormat, Names) {
  EXPECT_EQ(format_from_name("int8"), WeightFormat::q8);
  EXPECT_EQ(format_from_name("q4"), WeightFormat::q4);
  EXPECT_EQ(format_from_name("q5"), std::nullopt);
  EXPECT_EQ(format_name(WeightFormat::bf16), "bf16");
}

}  // namespace
}  // namespace ettin
