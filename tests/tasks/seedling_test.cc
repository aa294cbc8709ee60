// The embedded pair against the answers of an independent implementation, which stand beside its
// weights in examples.json.
#include <cstdio>

#include <gtest/gtest.h>

#include "base/json.h"
#include "ettin/ettin.h"

namespace ettin {
namespace {

const char kEncoderFolder[] = ETTIN_SOURCE_DIR "/models/seedling-encoder";
const char kDecoderFolder[] = ETTIN_SOURCE_DIR "/models/seedling-decoder";

Json examples(const std::string& folder) {
  Result<Json> json = parse_json_file(folder + "/examples.json");
  EXPECT_TRUE(json.ok()) << json.status().to_string();
  return *std::move(json);
}

Model must_load(const std::string& folder, const ModelOptions& options = {}) {
  Result<Model> model = Model::load(folder, options);
  EXPECT_TRUE(model.ok()) << model.status().to_string();
  return *std::move(model);
}

std::vector<ModelOptions> both_backends() {
  std::vector<ModelOptions> all(3);
  all[0].threads = 2;
  all[1].backend = "ref";
  all[2].backend = "ref";
  all[2].dtype = "fp64";
  return all;
}

TEST(Seedling, FillMask) {
  const Json file = examples(kEncoderFolder);
  ASSERT_GE(file["fill_mask"].size(), 10U);
  for (const ModelOptions& options : both_backends()) {
    const Model model = must_load(kEncoderFolder, options);
    std::vector<TextInput> texts;
    for (const Json& e : file["fill_mask"]) texts.push_back({e["text"].get<std::string>(), {}});
    const auto results = model.fill_mask(texts);
    ASSERT_TRUE(results.ok()) << results.status().to_string();
    double worst = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      const Json& e = file["fill_mask"][i];
      SCOPED_TRACE(texts[i].text);
      const auto tokens = model.tokenize(texts[i]);
      ASSERT_TRUE(tokens.ok());
      EXPECT_EQ(tokens->ids, e["ids"].get<std::vector<int32_t>>());
      ASSERT_EQ((*results)[i].masks.size(), 1U);
      const std::vector<FillMaskCandidate>& best = (*results)[i].masks[0];
      ASSERT_EQ(best.size(), 5U);
      for (size_t k = 0; k < 5; ++k) {
        EXPECT_EQ(best[k].token, e["top"][k]["token"].get<int32_t>());
        EXPECT_EQ(best[k].token_str, e["top"][k]["token_str"].get<std::string>());
        EXPECT_EQ(best[k].sequence, e["top"][k]["sequence"].get<std::string>());
        const double error = std::abs(best[k].score - e["float64_scores"][k].get<double>());
        worst = std::max(worst, error);
        EXPECT_LE(error, 1e-5);
      }
    }
    std::printf("%s %s: largest error of a probability %.1e\n", options.backend.c_str(),
                options.dtype.c_str(), worst);
  }
}

TEST(Seedling, GreedyContinuations) {
  const Json file = examples(kDecoderFolder);
  for (const ModelOptions& options : both_backends()) {
    const Model model = must_load(kDecoderFolder, options);
    for (const Json& e : file["generate"]) {
      const TextInput prompt{e["prompt"].get<std::string>(), {}};
      SCOPED_TRACE(prompt.text);
      EXPECT_EQ(model.tokenize(prompt)->ids, e["prompt_ids"].get<std::vector<int32_t>>());
      GenerateOptions generate;
      generate.max_new_tokens = static_cast<int64_t>(e["new_ids"].size());
      const auto results = model.generate({prompt}, generate);
      ASSERT_TRUE(results.ok()) << results.status().to_string();
      const GenerateResult& r = (*results)[0];
      ASSERT_EQ(r.tokens.size(), e["new_ids"].size());
      for (size_t k = 0; k < r.tokens.size(); ++k) {
        EXPECT_EQ(r.tokens[k].token, e["new_ids"][k].get<int32_t>());
        EXPECT_NEAR(r.tokens[k].logprob, e["logprobs"][k].get<double>(), 2e-5);
      }
      std::string text = e["continuation"].get<std::string>();
      if (const size_t end = text.find("[SEP]"); end != std::string::npos) text.resize(end);
      EXPECT_EQ(r.text, text);
    }
  }
}

// All prompts in one call are the same as each alone, to the last digit.
TEST(Seedling, BatchingChangesNoAnswer) {
  const Model model = must_load(kDecoderFolder);
  std::vector<TextInput> prompts;
  const Json file = examples(kDecoderFolder);
  for (const Json& e : file["generate"]) {
    prompts.push_back({e["prompt"].get<std::string>(), {}});
  }
  GenerateOptions options;
  options.max_new_tokens = 24;
  options.temperature = 0.8;
  options.seed = 3;
  const auto together = model.generate(prompts, options);
  ASSERT_TRUE(together.ok());
  const auto again = model.generate(prompts, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ((*together)[i].text, (*again)[i].text);
    GenerateOptions greedy = options;
    greedy.temperature = 0;
    const auto alone = model.generate(std::span(prompts).subspan(i, 1), greedy);
    const auto batch = model.generate(prompts, greedy);
    ASSERT_EQ((*alone)[0].tokens.size(), (*batch)[i].tokens.size());
    for (size_t k = 0; k < (*alone)[0].tokens.size(); ++k) {
      EXPECT_EQ((*alone)[0].tokens[k].token, (*batch)[i].tokens[k].token);
      EXPECT_EQ((*alone)[0].tokens[k].logprob, (*batch)[i].tokens[k].logprob);
    }
  }
}

// The pair is of one size and one vocabulary.
TEST(Seedling, TheTwinsAreAlike) {
  const Model encoder = must_load(kEncoderFolder), decoder = must_load(kDecoderFolder);
  EXPECT_FALSE(encoder.is_decoder());
  EXPECT_TRUE(decoder.is_decoder());
  EXPECT_EQ(encoder.info().parameters, decoder.info().parameters);
  EXPECT_EQ(encoder.info().layers, decoder.info().layers);
  const TextInput text{"The same text.", {}};
  const std::vector<int32_t> a = encoder.tokenize(text)->ids;
  std::vector<int32_t> b = decoder.tokenize(text)->ids;
  b.push_back(a.back());  // the encoder's [SEP]
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace ettin
