// What the initial weights are distributed like, and what they depend on.
#include "train/init_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "model/weights.h"

namespace ettin {
namespace {

ModelConfig small_config(Arm arm) {
  ModelConfig c;
  c.arm = arm;
  c.vocab_size = 4000;
  c.hidden_size = 64;
  c.intermediate_size = 96;
  c.num_layers = 8;
  c.num_heads = 1;
  c.layer_is_global.assign(8, true);
  return c;
}

Parameters initialised(const ModelConfig& config, uint64_t seed, int threads,
                       Dtype dtype = Dtype::f32) {
  ThreadPool pool(threads);
  Parameters p = make_parameters(config, dtype);
  init_weights(config, seed, pool, &p);
  return p;
}

struct Moments {
  double mean = 0, deviation = 0, largest = 0;
  int64_t count = 0;
};
Moments moments_of(const View& view) {
  Moments m;
  double sum = 0, squares = 0;
  m.count = view.rows * view.cols;
  for (int64_t i = 0; i < m.count; ++i) {
    const double x = view.row<float>(0)[i];
    sum += x;
    squares += x * x;
    m.largest = std::max(m.largest, std::abs(x));
  }
  m.mean = sum / static_cast<double>(m.count);
  m.deviation = std::sqrt(squares / static_cast<double>(m.count) - m.mean * m.mean);
  return m;
}

// Mean 0, deviation 0.8796 sigma, both within five standard errors; cut at 2 sigma and used up to
// it.
void expect_truncated_normal(const View& view, double sigma, const char* name) {
  const Moments m = moments_of(view);
  const double n = static_cast<double>(m.count), true_deviation = 0.879625 * sigma;
  EXPECT_NEAR(m.mean, 0, 5 * true_deviation / std::sqrt(n)) << name;
  EXPECT_NEAR(m.deviation, true_deviation, 5 * true_deviation / std::sqrt(2 * n)) << name;
  EXPECT_LE(m.largest, 2 * sigma * (1 + 1e-6)) << name;
  EXPECT_GT(m.largest, 1.98 * sigma) << name;
}

TEST(InitWeights, TruncatedNormalOfTheRightDeviation) {
  const ModelConfig config = small_config(kEncoder);
  const Parameters p = initialised(config, 21, 2);
  const double residual = 0.02 / std::sqrt(2.0 * 8);
  expect_truncated_normal(p.token_embedding.weight, 0.02, "embedding");
  expect_truncated_normal(p.layers[3].qkv.weight, 0.02, "Wqkv");
  expect_truncated_normal(p.layers[3].mlp_in.weight, 0.02, "Wi");
  expect_truncated_normal(p.head_dense.weight, 0.02, "head");
  expect_truncated_normal(p.layers[3].attn_out.weight, residual, "attention Wo");
  expect_truncated_normal(p.layers[3].mlp_out.weight, residual, "MLP Wo");
  for (int64_t i = 0; i < config.hidden_size; ++i) {
    EXPECT_EQ(p.final_norm.weight.row<float>(0)[i], 1);
    EXPECT_EQ(p.embedding_norm.weight.row<float>(0)[i], 1);
  }
  EXPECT_EQ(moments_of(p.vocab_projection.bias).largest, 0);
}

TEST(InitWeights, ShapeOfTheDistributionInsideTheCut) {
  // P(|x| < sigma) of the cut normal: 0.682689 / 0.954500.
  const Parameters p = initialised(small_config(kEncoder), 5, 1);
  const View& view = p.token_embedding.weight;
  const int64_t n = view.rows * view.cols;
  int64_t inside = 0;
  for (int64_t i = 0; i < n; ++i) inside += std::abs(view.row<float>(0)[i]) < 0.02f ? 1 : 0;
  const double expected = 0.682689 / 0.954500;
  EXPECT_NEAR(static_cast<double>(inside) / static_cast<double>(n), expected,
              5 * std::sqrt(expected * (1 - expected) / static_cast<double>(n)));
}

TEST(InitWeights, DependsOnTheSeedAndTheNameAlone) {
  const ModelConfig encoder = small_config(kEncoder), decoder = small_config(kDecoder);
  const Parameters a = initialised(encoder, 21, 1), b = initialised(decoder, 21, 2);
  ASSERT_EQ(a.data->size(), b.data->size());
  EXPECT_EQ(std::memcmp(a.data->data(), b.data->data(), a.data->size()), 0)
      << "the arms of a pair start from the same weights, whatever the threads";
  const Parameters other = initialised(encoder, 22, 1);
  EXPECT_NE(a.token_embedding.weight.row<float>(0)[0],
            other.token_embedding.weight.row<float>(0)[0]);
  EXPECT_NE(a.layers[1].qkv.weight.row<float>(0)[0], a.layers[2].qkv.weight.row<float>(0)[0]);

  ModelConfig deeper = small_config(kEncoder);
  deeper.num_layers = 12;
  deeper.layer_is_global.assign(12, true);
  const Parameters c = initialised(deeper, 21, 1);
  EXPECT_EQ(std::memcmp(a.layers[5].qkv.weight.data, c.layers[5].qkv.weight.data, 3 * 64 * 64 * 4),
            0)
      << "a tensor does not depend on the others";

  const Parameters wide = initialised(encoder, 21, 1, Dtype::f64);
  for (int64_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(wide.token_embedding.weight.row<double>(0)[i],
              static_cast<double>(a.token_embedding.weight.row<float>(0)[i]));
  }
}

TEST(InitWeights, ClassifiersAndPoolingHeads) {
  ModelConfig config = small_config(kEncoder);
  config.head = Head::sequence_classification;
  config.num_labels = 64;
  const Parameters p = initialised(config, 21, 1);
  expect_truncated_normal(p.classifier.weight, 1 / std::sqrt(64.0), "classifier");
  expect_truncated_normal(p.head_dense.weight, 0.02 / std::sqrt(2.0 * 8), "pooling head");
}

}  // namespace
}  // namespace ettin
