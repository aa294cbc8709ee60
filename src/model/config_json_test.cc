// What is written as config.json reads back as the same network.
#include "model/config_json.h"

#include <gtest/gtest.h>

#include "model/test_models.h"

namespace ettin {
namespace {

ModelConfig read_back(const ModelConfig& config, const TokenIds& ids = {}) {
  const std::string text = dump_json(to_config_json(config, ids), 2);
  const auto json = parse_json(text, "config.json");
  EXPECT_TRUE(json.ok()) << json.status().to_string();
  const auto file = parse_hf_config(*json, "config.json");
  EXPECT_TRUE(file.ok()) << file.status().to_string();
  std::vector<std::string> warnings;
  auto read = resolve_config(*file, &warnings);
  EXPECT_TRUE(read.ok()) << read.status().to_string();
  EXPECT_EQ(warnings, std::vector<std::string>());
  return *std::move(read);
}

void expect_same(const ModelConfig& a, const ModelConfig& b) {
  EXPECT_EQ(a.arm, b.arm);
  EXPECT_EQ(a.head, b.head);
  for (const auto member :
       {&ModelConfig::vocab_size, &ModelConfig::hidden_size, &ModelConfig::intermediate_size,
        &ModelConfig::num_layers, &ModelConfig::num_heads, &ModelConfig::max_positions}) {
    EXPECT_EQ(a.*member, b.*member);
  }
  for (const auto member : {&ModelConfig::norm_bias, &ModelConfig::attention_bias,
                            &ModelConfig::mlp_bias, &ModelConfig::decoder_bias,
                            &ModelConfig::classifier_bias, &ModelConfig::tie_word_embeddings}) {
    EXPECT_EQ(a.*member, b.*member);
  }
  EXPECT_EQ(a.activation, b.activation);
  EXPECT_EQ(a.classifier_activation, b.classifier_activation);
  EXPECT_EQ(a.classifier_pooling, b.classifier_pooling);
  EXPECT_EQ(a.norm_eps, b.norm_eps);
  EXPECT_EQ(a.global_rope_theta, b.global_rope_theta);
  EXPECT_EQ(a.local_rope_theta, b.local_rope_theta);
  ASSERT_EQ(a.layer_is_global, b.layer_is_global);
  for (int64_t i = 0; i < a.num_layers; ++i) EXPECT_EQ(a.attention(i), b.attention(i)) << i;
}

TEST(ConfigJson, ReadsBackAsTheSameNetwork) {
  for (const Arm& arm : {kEncoder, kDecoder}) {
    for (const Head head : {Head::language_model, Head::none, Head::sequence_classification}) {
      ModelConfig config = test::tiny_config(arm, head);
      expect_same(config, read_back(config));
      config.activation = Activation::gelu_tanh;
      config.classifier_activation = Activation::silu;
      config.norm_bias = config.attention_bias = config.classifier_bias = true;
      config.decoder_bias = config.tie_word_embeddings = false;
      config.norm_eps = 1.0 / 3;
      config.global_rope_theta = 12345.678;
      config.local_rope_theta = 9999.25;
      expect_same(config, read_back(config));
      config.layer_is_global = {false, true, true, false, true};  // no i % n
      expect_same(config, read_back(config));
      config.layer_is_global = {true, false, true, false, true};
      expect_same(config, read_back(config));
    }
  }
}

TEST(ConfigJson, ADecodersWindowIsWhatTransformersComputes) {
  ModelConfig config = test::tiny_config(kDecoder);
  config.window_each_side = 64;
  config.causal_window_keys = 65;  // as training computed it
  const Json json = to_config_json(config, {});
  // transformers sees local_attention // 2 keys, itself included.
  EXPECT_EQ(json["local_attention"], 130);
  expect_same(config, read_back(config));
}

TEST(ConfigJson, TokenIdsAreNumbersWhereAClassNeedsThem) {
  const TokenIds ids{.bos = 1, .eos = 2, .cls = 1, .sep = 2, .pad = 3};
  for (const Arm& arm : {kEncoder, kDecoder}) {
    const Json json = to_config_json(test::tiny_config(arm), ids);
    EXPECT_EQ(json["bos_token_id"], 1);
    EXPECT_EQ(json["eos_token_id"], 2);
    EXPECT_EQ(json["pad_token_id"], 3);
    EXPECT_EQ(json["architectures"][0],
              arm == kEncoder ? "ModernBertForMaskedLM" : "ModernBertDecoderForCausalLM");
  }
  EXPECT_TRUE(to_config_json(test::tiny_config(kEncoder), {})["pad_token_id"].is_null());
  EXPECT_EQ(to_config_json(test::tiny_config(kDecoder), {})["pad_token_id"], 0);
  EXPECT_TRUE(to_config_json(test::tiny_config(kDecoder), {})["eos_token_id"].is_null());
}

}  // namespace
}  // namespace ettin
