// The rules for keys that are absent, old, new or contradictory.
#include "model/config.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "model/weights.h"

namespace ettin {
namespace {

constexpr std::string_view kSizes =
    R"("vocab_size": 64, "hidden_size": 32, "intermediate_size": 24, "num_hidden_layers": 5,
       "num_attention_heads": 2, "max_position_embeddings": 128)";

Result<ModelConfig> resolve(std::string_view kind, std::string_view keys,
                            std::vector<std::string>* warnings) {
  const bool decoder = kind == "modernbert-decoder";
  const std::string text =
      fmt::format(R"({{"model_type": "{}", "architectures": ["{}"], {}{}{}}})", kind,
                  decoder ? "ModernBertDecoderForCausalLM" : "ModernBertForMaskedLM", kSizes,
                  keys.empty() ? "" : ", ", keys);
  const Result<Json> json = parse_json(text, "config.json");
  EXPECT_TRUE(json.ok()) << json.status().to_string();
  const Result<HfConfig> file = parse_hf_config(*json, "config.json");
  if (!file.ok()) return file.status();
  return resolve_config(*file, warnings);
}

ModelConfig must_resolve(std::string_view kind, std::string_view keys,
                         std::vector<std::string>* warnings = nullptr) {
  std::vector<std::string> own;
  auto config = resolve(kind, keys, warnings ? warnings : &own);
  EXPECT_TRUE(config.ok()) << config.status().to_string();
  return *config;
}

constexpr std::string_view kEncoderType = "modernbert", kDecoderType = "modernbert-decoder";

TEST(Config, DefaultsOfEachKind) {
  const ModelConfig encoder = must_resolve(kEncoderType, "");
  EXPECT_EQ(encoder.arm, kEncoder);
  EXPECT_EQ(encoder.head, Head::language_model);
  EXPECT_EQ(encoder.global_rope_theta, 160000);
  EXPECT_EQ(encoder.local_rope_theta, 10000);
  EXPECT_EQ(encoder.attention(1), (AttentionSpec{64, 64}));
  EXPECT_EQ(encoder.attention(3), AttentionSpec{});
  EXPECT_EQ(encoder.layer_is_global, (std::vector<bool>{true, false, false, true, false}));
  EXPECT_EQ(encoder.classifier_pooling, Pooling::cls);
  EXPECT_TRUE(encoder.tie_word_embeddings);
  EXPECT_TRUE(encoder.decoder_bias);

  std::vector<std::string> warnings;
  const ModelConfig decoder = must_resolve(kDecoderType, "", &warnings);
  EXPECT_EQ(decoder.arm, kDecoder);
  EXPECT_EQ(decoder.local_rope_theta, 160000);  // transformers 4.54 to 4.57
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("local_rope_theta"), std::string::npos);
  EXPECT_EQ(decoder.attention(1), (AttentionSpec{63, 0}));
  EXPECT_EQ(decoder.attention(0), (AttentionSpec{AttentionSpec::kUnlimited, 0}));
}

TEST(Config, ThetaRules) {
  struct Case {
    std::string_view kind, keys;
    double global, local;
  };
  const Case cases[] = {
      {kEncoderType, R"("global_rope_theta": 5, "local_rope_theta": 7)", 5, 7},
      {kEncoderType, R"("global_rope_theta": 5, "local_rope_theta": null)", 5, 5},
      {kEncoderType, R"("rope_theta": 6)", 6, 10000},
      {kDecoderType, R"("global_rope_theta": 5, "local_rope_theta": null)", 5, 5},
      {kDecoderType, R"("local_rope_theta": 10000.0)", 160000, 10000},
      // The new spelling wins over the old one.
      {kEncoderType,
       R"("global_rope_theta": 5, "local_rope_theta": 7, "rope_parameters":
          {"full_attention": {"rope_type": "default", "rope_theta": 8},
           "sliding_attention": {"rope_type": "default", "rope_theta": 9}})",
       8, 9},
      {kEncoderType,
       R"("local_rope_theta": 7, "rope_parameters": {"full_attention": {"rope_theta": 8}})", 8, 7},
  };
  for (const Case& c : cases) {
    const ModelConfig config = must_resolve(c.kind, c.keys);
    EXPECT_EQ(config.global_rope_theta, c.global) << c.keys;
    EXPECT_EQ(config.local_rope_theta, c.local) << c.keys;
  }
}

TEST(Config, WindowRules) {
  EXPECT_EQ(must_resolve(kEncoderType, R"("local_attention": 8)").attention(1),
            (AttentionSpec{4, 4}));
  EXPECT_EQ(must_resolve(kDecoderType, R"("local_attention": 8)").attention(1),
            (AttentionSpec{3, 0}));
  // A decoder's sliding_window is the number of keys already and is not halved again.
  EXPECT_EQ(must_resolve(kDecoderType, R"("sliding_window": 64)").attention(1),
            (AttentionSpec{63, 0}));
  EXPECT_FALSE(resolve(kDecoderType, R"("local_attention": 1)", nullptr).ok());
}

TEST(Config, LayerTypesWinOverThePattern) {
  const ModelConfig c = must_resolve(
      kEncoderType,
      R"("global_attn_every_n_layers": 2, "layer_types": ["sliding_attention", "full_attention",
         "full_attention", "sliding_attention", "sliding_attention"])");
  EXPECT_EQ(c.layer_is_global, (std::vector<bool>{false, true, true, false, false}));
  EXPECT_EQ(must_resolve(kEncoderType, R"("global_attn_every_n_layers": 2)").layer_is_global,
            (std::vector<bool>{true, false, true, false, true}));
}

TEST(Config, OldKeysYieldToNewOnes) {
  EXPECT_EQ(must_resolve(kEncoderType, R"("layer_norm_eps": 0.5)").norm_eps, 0.5);
  EXPECT_EQ(must_resolve(kEncoderType, R"("layer_norm_eps": 0.5, "norm_eps": 0.25)").norm_eps,
            0.25);
}

// The table of reference numbers: backbone with head, tied matrix counted once.
TEST(Config, PublishedSizesHaveTheirParameterCounts) {
  const std::pair<std::string_view, int64_t> counts[] = {
      {"17m", 16'913'600},   {"32m", 32'081'344},   {"68m", 68'457'664},
      {"150m", 149'655'232}, {"400m", 395'881'664}, {"1b", 1'031'314'112},
  };
  for (const auto& [size, count] : counts) {
    for (const Arm arm : {kEncoder, kDecoder}) {
      const auto config = published_config(size, arm);
      ASSERT_TRUE(config.ok());
      EXPECT_EQ(parameter_count(*config), count) << size << " " << arm.name;
      EXPECT_EQ(config->head_dim(), 64);
      EXPECT_EQ(config->rope_theta(1), 160000);
    }
  }
  EXPECT_NE(published_config("2b", kEncoder).status().hint().find("400m"), std::string::npos);
}

}  // namespace
}  // namespace ettin
