// Each kind of difference, planted in a copy of a small model.
#include "infer/diff_weights.h"

#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "model/test_models.h"

namespace ettin {
namespace {

using test::TinyWeights;

// A model in memory as a folder would give it.
ModelFolder folder_of(const ModelConfig& config, const TinyWeights& weights) {
  ModelFolder folder;
  folder.config = config;
  folder.source = TensorSource::from_tensors(weights.tensors(), nullptr, "memory");
  std::vector<std::string> warnings;
  auto plan = find_tensors(config, folder.source, {}, &warnings);
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  folder.plan = *std::move(plan);
  return folder;
}

WeightsDifference diff_after(const std::function<void(TinyWeights*)>& change,
                             const Arm& arm = kEncoder, int threads = 2) {
  const ModelConfig config = test::tiny_config(arm);
  const TinyWeights original(config);
  TinyWeights changed(config);
  change(&changed);
  ThreadPool pool(threads);
  return diff_weights(folder_of(config, original), folder_of(config, changed), pool);
}

std::vector<float>* values(TinyWeights* w, std::string_view name) {
  for (size_t i = 0; i < w->shapes.size(); ++i) {
    if (w->shapes[i].first == name) return &w->values[i];
  }
  ADD_FAILURE() << "no tensor " << name;
  return nullptr;
}

TEST(DiffWeights, AModelEqualsItself) {
  for (const Arm& arm : {kEncoder, kDecoder}) {
    const WeightsDifference d = diff_after([](TinyWeights*) {}, arm);
    EXPECT_TRUE(d.equal(0));
    EXPECT_EQ(d.worst(), nullptr);
    EXPECT_GT(d.tensors.size(), 20u);
    for (const TensorDifference& t : d.tensors) EXPECT_EQ(t.cosine, 1) << t.name;
  }
}

TEST(DiffWeights, OneElement) {
  const std::string name = "model.layers.3.mlp.Wo.weight";
  const WeightsDifference d = diff_after([&](TinyWeights* w) { (*values(w, name))[5] += 0.25f; });
  ASSERT_NE(d.worst(), nullptr);
  EXPECT_EQ(d.worst()->name, "layers.3.mlp.Wo.weight");
  EXPECT_EQ(d.worst()->differing, 1u);
  EXPECT_NEAR(d.worst()->max_difference, 0.25, 1e-6);
  EXPECT_LT(d.worst()->cosine, 1);
  EXPECT_FALSE(d.equal(0.2));
  EXPECT_TRUE(d.equal(0.3));
}

TEST(DiffWeights, ASignAndAScaledNorm) {
  WeightsDifference d = diff_after([](TinyWeights* w) {
    for (float& v : *values(w, "head.dense.weight")) v = -v;
  });
  ASSERT_NE(d.worst(), nullptr);
  EXPECT_EQ(d.worst()->name, "head.dense.weight");
  EXPECT_NEAR(d.worst()->cosine, -1, 1e-12);
  d = diff_after([](TinyWeights* w) {
    for (float& v : *values(w, "model.final_norm.weight")) v *= 2;
  });
  ASSERT_NE(d.worst(), nullptr);
  EXPECT_EQ(d.worst()->name, "final_norm.weight");
  EXPECT_NEAR(d.worst()->relative(), 1, 1e-6);
  EXPECT_NEAR(d.worst()->cosine, 1, 1e-12);  // the direction is the same
}

TEST(DiffWeights, SwappedQueriesAndKeys) {
  const WeightsDifference d = diff_after([](TinyWeights* w) {
    auto& qkv = *values(w, "model.layers.1.attn.Wqkv.weight");
    const auto third = static_cast<long>(qkv.size() / 3);
    std::swap_ranges(qkv.begin(), qkv.begin() + third, qkv.begin() + third);
  });
  ASSERT_NE(d.worst(), nullptr);
  EXPECT_EQ(d.worst()->name, "layers.1.attn.Wqkv.weight");
  EXPECT_EQ(d.worst()->differing, d.worst()->elements / 3 * 2);
}

TEST(DiffWeights, WhatIsNotFinite) {
  const WeightsDifference d =
      diff_after([](TinyWeights* w) { (*values(w, "model.layers.0.mlp.Wi.weight"))[7] = NAN; });
  ASSERT_NE(d.worst(), nullptr);
  EXPECT_TRUE(std::isinf(d.worst()->max_difference));
  EXPECT_EQ(d.worst()->differing, 1u);
}

TEST(DiffWeights, NothingAgainstSomething) {
  const WeightsDifference d = diff_after([](TinyWeights* w) {
    for (float& v : *values(w, "model.layers.2.attn.Wo.weight")) v = 0;
  });
  ASSERT_NE(d.worst(), nullptr);
  EXPECT_EQ(d.worst()->name, "layers.2.attn.Wo.weight");
  EXPECT_EQ(d.worst()->cosine, 0);
  EXPECT_NEAR(d.worst()->relative(), 1, 1e-12);
}

// The order of the sums is that of the rows.
TEST(DiffWeights, ThreadsChangeNothing) {
  const auto change = [](TinyWeights* w) {
    for (float& v : *values(w, "model.embeddings.tok_embeddings.weight")) v *= 1.001f;
  };
  const WeightsDifference one = diff_after(change, kEncoder, 1);
  const WeightsDifference three = diff_after(change, kEncoder, 3);
  ASSERT_EQ(one.tensors.size(), three.tensors.size());
  for (size_t i = 0; i < one.tensors.size(); ++i) {
    EXPECT_EQ(one.tensors[i].cosine, three.tensors[i].cosine);
  }
}

TEST(DiffWeights, OtherTensorsAndSettings) {
  const ModelConfig small = test::tiny_config(kEncoder);
  ModelConfig large = small;
  large.num_layers = 6;
  large.layer_is_global.push_back(false);
  large.local_rope_theta = 160000;
  large.intermediate_size = 40;
  const TinyWeights of_small(small), of_large(large);
  ThreadPool pool(1);
  const WeightsDifference d =
      diff_weights(folder_of(small, of_small), folder_of(large, of_large), pool);
  EXPECT_TRUE(d.only_a.empty());
  EXPECT_EQ(d.only_b.size(), 6u);        // the sixth layer: two norms and four matrices
  EXPECT_EQ(d.other_shape.size(), 10u);  // both matrices of five MLPs
  std::vector<std::string> keys;
  for (const SettingDifference& s : d.settings) keys.push_back(s.key);
  EXPECT_EQ(keys, (std::vector<std::string>{"intermediate_size", "num_hidden_layers", "layer_types",
                                            "local_rope_theta"}));
  EXPECT_FALSE(d.equal(1e9));
}

}  // namespace
}  // namespace ettin
