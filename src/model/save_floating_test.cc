// What is saved under an arm's names loads again, value for value.
#include "model/save_floating.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/half.h"
#include "model/test_models.h"

namespace ettin {
namespace {

using test::TempDir;
using test::TinyWeights;

struct Model {
  ModelConfig config;
  TensorSource source;
  std::vector<FoundTensor> plan;
};

Model open_model(const ModelConfig& config, TensorSource source) {
  Model m;
  m.config = config;
  m.source = std::move(source);
  std::vector<std::string> warnings;
  auto plan = find_tensors(config, m.source, {}, &warnings);
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  m.plan = *std::move(plan);
  return m;
}

std::set<std::string> names(const TensorSource& source) {
  std::set<std::string> all;
  for (const StoredTensor& t : source.tensors()) all.insert(t.name);
  return all;
}

std::vector<float> floats(const TensorSource& source, const std::string& name) {
  const StoredTensor* t = source.find(name);
  EXPECT_NE(t, nullptr) << name;
  std::vector<float> v(t == nullptr ? 0 : t->element_count());
  if (t != nullptr) read_elements(*t, 0, std::span(v));
  return v;
}

// With every bias, so that those of q, k and v are split too.
ModelConfig biased(const Arm& arm, Head head = Head::language_model) {
  ModelConfig config = test::tiny_config(arm, head);
  config.attention_bias = config.mlp_bias = config.norm_bias = config.classifier_bias = true;
  return config;
}

TEST(SaveFloating, NamesAreThoseOfTheClass) {
  const ModelConfig config = biased(kEncoder);
  const TinyWeights weights(config);
  const Model m =
      open_model(config, TensorSource::from_tensors(weights.tensors(), nullptr, "memory"));
  TempDir fused, split;
  FloatingSave how;
  ASSERT_TRUE(save_floating(config, m.plan, how, fused.path(), "memory").ok());
  how.arm = kDecoder;
  ASSERT_TRUE(save_floating(config, m.plan, how, split.path(), "memory").ok());
  const auto as_encoder = TensorSource::open(fused.path());
  const auto as_decoder = TensorSource::open(split.path());
  ASSERT_TRUE(as_encoder.ok() && as_decoder.ok());
  EXPECT_EQ(names(*as_encoder), names(m.source));
  const std::set<std::string> found = names(*as_decoder);
  for (const char* name : {"model.layers.0.attn.q_proj.weight", "model.layers.4.attn.v_proj.bias",
                           "lm_head.dense.weight", "lm_head.norm.bias", "decoder.bias"}) {
    EXPECT_TRUE(found.contains(name)) << name;
  }
  for (const char* name : {"model.layers.0.attn.Wqkv.weight", "head.dense.weight", "decoder.weight",
                           "model.layers.0.attn_norm.weight"}) {
    EXPECT_FALSE(found.contains(name)) << name;
  }
}

// Fused, split, and fused again: the same bits as at first.
TEST(SaveFloating, ThereAndBackChangesNothing) {
  for (const Head head : {Head::none, Head::language_model}) {
    const ModelConfig config = biased(kEncoder, head);
    const TinyWeights weights(config);
    const Model first =
        open_model(config, TensorSource::from_tensors(weights.tensors(), nullptr, "memory"));
    TempDir there, back;
    FloatingSave how;
    how.arm = kDecoder;
    ASSERT_TRUE(save_floating(config, first.plan, how, there.path(), "memory").ok());
    const Model split = open_model(config, *TensorSource::open(there.path()));
    how.arm = kEncoder;
    ASSERT_TRUE(save_floating(config, split.plan, how, back.path(), "there").ok());
    const Model again = open_model(config, *TensorSource::open(back.path()));
    for (const StoredTensor& t : again.source.tensors()) {
      const std::string was =
          head == Head::none ? "model." + t.name : t.name;  // a bare model has no prefix
      EXPECT_EQ(floats(again.source, t.name), floats(first.source, was)) << t.name;
    }
    EXPECT_EQ(again.source.tensors().size(), first.source.tensors().size());
  }
}

TEST(SaveFloating, NarrowTypesRoundToNearest) {
  const ModelConfig config = test::tiny_config(kDecoder);
  const TinyWeights weights(config);
  const Model m =
      open_model(config, TensorSource::from_tensors(weights.tensors(), nullptr, "memory"));
  for (const Dtype dtype : {Dtype::f16, Dtype::bf16}) {
    TempDir directory;
    FloatingSave how;
    how.arm = kDecoder;
    how.dtype = dtype;
    ASSERT_TRUE(save_floating(config, m.plan, how, directory.path(), "memory").ok());
    const auto saved = TensorSource::open(directory.path());
    ASSERT_TRUE(saved.ok());
    std::vector<float> expected = floats(m.source, "model.layers.2.mlp.Wi.weight");
    for (float& v : expected) {
      v = dtype == Dtype::f16 ? fp16_to_float(float_to_fp16(v)) : bf16_to_float(float_to_bf16(v));
    }
    EXPECT_EQ(floats(*saved, "model.layers.2.mlp.Wi.weight"), expected);
    for (const StoredTensor& t : saved->tensors()) EXPECT_EQ(t.dtype, dtype) << t.name;
  }
}

TEST(SaveFloating, WhatATypeCannotHoldIsNamed) {
  const ModelConfig config = test::tiny_config(kEncoder);
  for (const auto& [dtype, value, fits] : {std::tuple(Dtype::f16, 65519.0f, true),
                                           {Dtype::f16, 65520.0f, false},
                                           {Dtype::bf16, 3.3895e38f, true},
                                           {Dtype::bf16, 3.4e38f, false},
                                           {Dtype::f32, std::numeric_limits<float>::max(), true}}) {
    TinyWeights weights(config);
    weights.values[0][3] = value;
    const Model m =
        open_model(config, TensorSource::from_tensors(weights.tensors(), nullptr, "memory"));
    TempDir directory;
    FloatingSave how;
    how.dtype = dtype;
    const Status status = save_floating(config, m.plan, how, directory.path(), "memory");
    EXPECT_EQ(status.ok(), fits) << value;
    EXPECT_EQ(file_exists(directory.path() + "/model.safetensors"), fits);
    if (fits) {
      const auto saved = TensorSource::open(directory.path());
      EXPECT_TRUE(std::isfinite(floats(*saved, "model.embeddings.tok_embeddings.weight")[3]));
    } else {
      EXPECT_NE(status.message().find("tok_embeddings"), std::string::npos) << status.message();
    }
  }
}

// fp64 files are read, too.
TEST(SaveFloating, DoublesBeyondFp32AreNamed) {
  const ModelConfig config = test::tiny_config(kEncoder);
  const TinyWeights weights(config);
  std::vector<StoredTensor> tensors = weights.tensors();
  std::vector<double> wide(weights.values[0].begin(), weights.values[0].end());
  wide[3] = 1e300;
  tensors[0].dtype = Dtype::f64;
  tensors[0].bytes = std::as_bytes(std::span(wide));
  const Model m = open_model(config, TensorSource::from_tensors(tensors, nullptr, "memory"));
  TempDir directory;
  const Status status = save_floating(config, m.plan, {}, directory.path(), "memory");
  EXPECT_NE(status.message().find("fp32 cannot hold"), std::string::npos) << status.message();
}

// Query, key and value of one layer, or all in one: not a mixture.
TEST(SaveFloating, MixedOrMissingPartsOfAttentionAreNamed) {
  const ModelConfig config = test::tiny_config(kEncoder);
  const TinyWeights weights(config);
  const Model m =
      open_model(config, TensorSource::from_tensors(weights.tensors(), nullptr, "memory"));
  TempDir split;
  FloatingSave how;
  how.arm = kDecoder;
  ASSERT_TRUE(save_floating(config, m.plan, how, split.path(), "memory").ok());
  const auto source = TensorSource::open(split.path());
  ASSERT_TRUE(source.ok());
  for (const bool mixed : {false, true}) {
    std::vector<StoredTensor> tensors(source->tensors().begin(), source->tensors().end());
    std::erase_if(tensors,
                  [](const StoredTensor& t) { return t.name.ends_with("1.attn.k_proj.weight"); });
    if (mixed) {
      for (StoredTensor& t : tensors) {
        if (t.name.ends_with("2.attn.q_proj.weight")) t.name = "model.layers.2.attn.Wqkv.weight";
      }
    }
    const auto damaged = TensorSource::from_tensors(tensors, nullptr, "damaged");
    std::vector<std::string> warnings;
    const auto plan = find_tensors(config, damaged, {}, &warnings);
    ASSERT_FALSE(plan.ok());
    EXPECT_NE(plan.status().message().find("layers.1.attn.k_proj"), std::string::npos);
    EXPECT_EQ(plan.status().message().find("layers.2.attn.Wqkv") != std::string::npos, mixed);
  }
}

TEST(SaveFloating, ShardsHoldWhatFits) {
  const ModelConfig config = test::tiny_config(kEncoder);
  const TinyWeights weights(config);
  const Model m =
      open_model(config, TensorSource::from_tensors(weights.tensors(), nullptr, "memory"));
  TempDir directory;
  FloatingSave how;
  how.shard_bytes = 20'000;
  ASSERT_TRUE(save_floating(config, m.plan, how, directory.path(), "memory").ok());
  const auto saved = TensorSource::open(directory.path());
  ASSERT_TRUE(saved.ok()) << saved.status().to_string();
  EXPECT_EQ(names(*saved), names(m.source));
  EXPECT_GT(saved->files().size(), 4u);
  for (const StoredTensor& t : saved->tensors()) {
    EXPECT_EQ(floats(*saved, t.name), floats(m.source, t.name)) << t.name;
  }
}

}  // namespace
}  // namespace ettin
