#include "bench_floor.h"

#include <gtest/gtest.h>

#include <vector>

namespace ettin::cli {
namespace {

ModelConfig config(std::string_view size, Arm arm = kEncoder) {
  return *published_config(size, arm);
}

double gigaflop(const ModelConfig& c, std::vector<int64_t> lengths, int64_t head_rows = 0) {
  return forward_flop(c, lengths, head_rows) / 1e9;
}

// Figures of an independent program; they catch a lost factor 2, a window of 128, a global layer
// too few, and H and I mixed up.
TEST(BenchFloor, ArithmeticOfPublishedSizes) {
  EXPECT_NEAR(gigaflop(config("32m"), {128}), 3.46, 0.005);
  EXPECT_NEAR(gigaflop(config("32m"), {512}), 15.05, 0.005);
  EXPECT_NEAR(gigaflop(config("32m"), {8192}), 627.41, 0.005);
  EXPECT_NEAR(gigaflop(config("32m"), std::vector<int64_t>(8, 128)), 27.68, 0.005);
  EXPECT_NEAR(gigaflop(config("150m"), {2048}), 566.22, 0.005);
  EXPECT_NEAR(gigaflop(config("32m"), {128}, 1) - gigaflop(config("32m"), {128}), 0.0390, 0.00005);
}

// A causal pass sees half of the pairs in global layers and 64 keys in local ones.
TEST(BenchFloor, CausalArithmetic) {
  const double h = 384, s = 512, body = 2 * 10 * (4 * h * h + 3 * h * 576) * s;
  EXPECT_DOUBLE_EQ(forward_flop(config("32m", kDecoder), std::vector<int64_t>{512}, 0),
                   body + 4 * h * s * (4 * s / 2 + 6 * 64));
}

TEST(BenchFloor, DecodingReadsWindowsAndWholePasts) {
  // 4 global layers of 101 keys, 6 local ones of 64, 384 wide, keys and values, 2 bytes.
  EXPECT_DOUBLE_EQ(cache_bytes(config("32m", kDecoder), 100, 2),
                   2.0 * 384 * 2 * (4 * 101 + 6 * 64));
  // A short past fills no window.
  EXPECT_DOUBLE_EQ(cache_bytes(config("32m", kDecoder), 9, 4), 2.0 * 384 * 4 * 10 * 10);
  EXPECT_NEAR(decode_flop(config("32m", kDecoder), 0) / 1e6, 25.07 + 38.98, 0.03);
}

TEST(BenchFloor, WeightsCountAtTheirOwnWidth) {
  const ModelConfig c = config("150m", kDecoder);
  const auto with = [&](WeightFormat format) {
    Weights w;
    w.layers.resize(static_cast<size_t>(c.num_layers));
    for_each_tensor(
        c,
        [&](const TensorSpec& spec, auto& weight) {
          if constexpr (std::is_same_v<std::decay_t<decltype(weight)>, LinearWeight>) {
            weight.out_features = spec.rows;
            weight.in_features = spec.cols;
            weight.format = format;
          }
        },
        w);
    return weight_bytes(c, w);
  };
  const WeightBytes full = with(WeightFormat::f32), small = with(WeightFormat::q4);
  EXPECT_NEAR(full.layers / 1e6, 441.2, 0.2);
  EXPECT_NEAR((full.layers + full.head) / 1e6, 598, 0.5);
  EXPECT_DOUBLE_EQ(full.all, full.layers + full.head);  // tied: the embedding is the head
  EXPECT_DOUBLE_EQ(small.head, full.head * 4.5 / 32);
  EXPECT_DOUBLE_EQ(small.all, full.all * 4.5 / 32);
}

TEST(BenchFloor, TheSlowerOfArithmeticAndMemory) {
  EXPECT_DOUBLE_EQ(floor_of(2e9, 1e6, 100, 10).ms, 20);
  EXPECT_FALSE(floor_of(2e9, 1e6, 100, 10).by_memory);
  EXPECT_DOUBLE_EQ(floor_of(2e9, 1e9, 100, 10).ms, 100);
  EXPECT_TRUE(floor_of(2e9, 1e9, 100, 10).by_memory);
  EXPECT_EQ(floor_of(2e9, 1e9, 0, 10).ms, 0);
  EXPECT_EQ(floor_of(2e9, 1e9, 100, 0).ms, 0);
}

TEST(BenchFloor, RateOfEachFormat) {
  EXPECT_EQ(multiply_metric(WeightFormat::f32, false), "fp32");
  EXPECT_EQ(multiply_metric(WeightFormat::bf16, false), "bf16");
  EXPECT_EQ(multiply_metric(WeightFormat::q8, false), "int8");
  EXPECT_EQ(multiply_metric(WeightFormat::q4, false), "int8");
  EXPECT_EQ(multiply_metric(WeightFormat::q4, true), "fp32");
}

}  // namespace
}  // namespace ettin::cli
