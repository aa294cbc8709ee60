#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/buffer.h"
#include "tensor/compare.h"
#include "tensor/dtype.h"
#include "tensor/stored_tensor.h"
#include "tensor/view.h"

namespace ettin {
namespace {

TEST(Dtype, NamesRoundTrip) {
  EXPECT_EQ(dtype_from_safetensors("BF16"), Dtype::bf16);
  EXPECT_EQ(dtype_from_safetensors("F8_E4M3"), std::nullopt);
  EXPECT_EQ(dtype_name(Dtype::f32), "fp32");
  EXPECT_EQ(dtype_bytes(Dtype::i64), 8u);
}

TEST(StoredTensor, WidensUnalignedElements) {
  const uint16_t bf16[3] = {0x3f80, 0xc000, 0x3f00};  // 1, -2, 0.5
  std::vector<std::byte> raw(sizeof(bf16) + 1);
  std::memcpy(raw.data() + 1, bf16, sizeof(bf16));
  const StoredTensor t{"t", Dtype::bf16, {3}, std::span(raw).subspan(1)};
  float f[2];
  read_elements(t, 1, f);
  EXPECT_EQ(f[0], -2.0f);
  EXPECT_EQ(f[1], 0.5f);
  double d[3];
  read_elements(t, 0, d);
  EXPECT_EQ(d[0], 1.0);
  EXPECT_EQ(shape_to_string(t.shape), "[3]");
}

TEST(View, SlicesPointIntoTheSameMemory) {
  Buffer buffer(4 * 6 * sizeof(float));
  const View v{buffer.data(), Dtype::f32, 4, 6, 6};
  for (int r = 0; r < 4; ++r) {
    for (int c = 0; c < 6; ++c) v.row<float>(r)[c] = static_cast<float>(10 * r + c);
  }
  const ConstView s = v.slice_rows(1, 2).slice_cols(2, 3);
  EXPECT_EQ(s.rows, 2);
  EXPECT_EQ(s.cols, 3);
  EXPECT_EQ(s.row<float>(1)[2], 24.0f);
}

TEST(Compare, ReportsTheWorstEntry) {
  const std::vector<double> expected{1, -4, 2};
  const std::vector<float> actual{1, -4.5f, 2};
  const Difference d = compare(std::span<const float>(actual), std::span<const double>(expected));
  EXPECT_EQ(d.max_abs, 0.5);
  EXPECT_EQ(d.worst, 1);
  EXPECT_EQ(d.relative(), 0.125);
  const std::vector<float> bad{1, NAN, 2};
  EXPECT_EQ(compare(std::span<const float>(bad), std::span<const double>(expected)).non_finite, 1);
}

}  // namespace
}  // namespace ettin
