// What each task promises, checked against raw forward results of the same model: folders with the
// embedded tokenizer and small random weights, of every head.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <numbers>
#include <thread>

#include <gtest/gtest.h>

#include "ettin/ettin.h"
#include "model/test_models.h"

namespace ettin {
namespace {

constexpr int64_t kHidden = 32;
// The sum of a softmax is over exp() in float: each term is right to 2e-7 of itself.
constexpr double kRounding = 1e-7;
const char kTokenizer[] = ETTIN_SOURCE_DIR "/models/seedling-encoder/tokenizer.json";

// A model folder that lasts as long as the test.
struct Folder {
  test::TempDir directory;
  ModelConfig config;

  Folder(Arm arm, Head head) : config(test::tiny_config(arm, head)) {
    config.vocab_size = 8192;
    config.max_positions = 64;
    const test::TinyWeights weights(config);
    directory.write("config.json", test::config_json(config));
    EXPECT_TRUE(write_safetensors(directory.path() + "/model.safetensors", weights.tensors()).ok());
    std::filesystem::copy_file(kTokenizer, directory.path() + "/tokenizer.json");
  }

  Model load() const {
    Result<Model> model = Model::load(directory.path());
    EXPECT_TRUE(model.ok()) << model.status().to_string();
    return *std::move(model);
  }
};

ForwardOutput forward_of(const Model& model, const std::vector<int32_t>& ids) {
  const std::vector<ForwardInput> inputs{{ids, {}}};
  auto outputs = model.forward(inputs);
  EXPECT_TRUE(outputs.ok()) << outputs.status().to_string();
  return std::move((*outputs)[0]);
}

std::vector<double> softmax_row(const ForwardOutput& o, int64_t row) {
  const auto first = o.logits.begin() + row * o.logit_cols;
  const double top = *std::max_element(first, first + o.logit_cols);
  std::vector<double> p(static_cast<size_t>(o.logit_cols));
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(first[static_cast<long>(i)] - top);
  for (double& v : p) v /= sum;
  return p;
}

TEST(Tasks, FillMaskWithSeveralMasks) {
  const Folder folder(kEncoder, Head::language_model);
  const Model model = folder.load();
  const TextInput text{"a [MASK] and a [MASK].", {}};
  FillMaskOptions options;
  options.top_k = 3;
  const FillMaskResult r = (*model.fill_mask({text}, options))[0];
  ASSERT_EQ(r.masks.size(), 2U);
  const std::vector<int32_t> ids = model.tokenize(text)->ids;
  const ForwardOutput raw = forward_of(model, ids);
  size_t m = 0;
  for (size_t t = 0; t < ids.size(); ++t) {
    if (ids[t] != 8191) continue;  // [MASK]
    const std::vector<double> p = softmax_row(raw, static_cast<int64_t>(t));
    ASSERT_EQ(r.masks[m].size(), 3U);
    for (const FillMaskCandidate& c : r.masks[m]) {
      EXPECT_NEAR(c.score, p[static_cast<size_t>(c.token)], kRounding);
      // The other mask stays visible, as do [CLS] and [SEP].
      EXPECT_NE(c.sequence.find("[MASK]"), std::string::npos);
      EXPECT_NE(c.sequence.find("[CLS]"), std::string::npos);
    }
    EXPECT_NEAR(r.masks[m][0].score, *std::max_element(p.begin(), p.end()), kRounding);
    ++m;
  }
  options.first_mask_only = true;
  EXPECT_EQ((*model.fill_mask({text}, options))[0].masks.size(), 1U);
}

TEST(Tasks, FillMaskTargetsCompeteWithoutRenormalising) {
  const Folder folder(kEncoder, Head::language_model);
  const Model model = folder.load();
  FillMaskOptions all, some;
  all.top_k = 8192;
  const TextInput text{"The capital is [MASK].", {}};
  std::map<int32_t, double> scores;
  double sum = 0;
  const FillMaskResult everything = (*model.fill_mask({text}, all))[0];
  for (const FillMaskCandidate& c : everything.masks[0]) {
    scores[c.token] = c.score;
    sum += c.score;
  }
  EXPECT_NEAR(sum, 1, kRounding);
  some.targets = {" Paris", " London", " Paris", "xqzzy"};
  const FillMaskResult r = (*model.fill_mask({text}, some))[0];
  ASSERT_EQ(r.masks[0].size(), 3U);  // " Paris" once; "xqzzy" by its first token
  EXPECT_EQ(r.notes.size(), 1U);
  for (const FillMaskCandidate& c : r.masks[0]) EXPECT_EQ(c.score, scores[c.token]);
  EXPECT_TRUE(std::is_sorted(r.masks[0].begin(), r.masks[0].end(),
                             [](const auto& a, const auto& b) { return a.score > b.score; }));
}

TEST(Tasks, ErrorsNameTheRightTask) {
  const Folder encoder(kEncoder, Head::language_model), decoder(kDecoder, Head::language_model);
  const Folder labels(kEncoder, Head::sequence_classification), bare(kEncoder, Head::none);
  const auto hint = [](const Status& s) {
    EXPECT_EQ(s.code(), StatusCode::unsupported);
    return s.hint();
  };
  EXPECT_NE(hint(decoder.load().fill_mask({{"[MASK]", {}}}).status()).find("generate"),
            std::string::npos);
  EXPECT_NE(hint(encoder.load().generate({{"a", {}}}).status()).find("fill-mask"),
            std::string::npos);
  EXPECT_NE(hint(encoder.load().classify({{"a", {}}}).status()).find("embed"), std::string::npos);
  EXPECT_NE(hint(labels.load().score({{"a", {}}}).status()).find("classify"), std::string::npos);
  EXPECT_NE(hint(bare.load().fill_mask({{"[MASK]", {}}}).status()).find("embed"),
            std::string::npos);
  const Status no_mask = encoder.load().fill_mask({{"no mask here", {}}}).status();
  EXPECT_EQ(no_mask.code(), StatusCode::invalid_argument);
  EXPECT_NE(no_mask.hint().find("[MASK]"), std::string::npos);
}

TEST(Tasks, LongTextsAreAnErrorOrCutWithAFlag) {
  const Folder folder(kEncoder, Head::language_model);
  const Model model = folder.load();
  std::string text = "[MASK]";
  for (int i = 0; i < 100; ++i) text += " word";
  const Status status = model.fill_mask({{text, {}}}).status();
  EXPECT_EQ(status.code(), StatusCode::too_long);
  EXPECT_NE(status.message().find("at most 64"), std::string::npos) << status.message();
  FillMaskOptions options;
  options.over_length = OverLength::truncate;
  const FillMaskResult r = (*model.fill_mask({{text, {}}}, options))[0];
  EXPECT_TRUE(r.truncated);
  EXPECT_EQ(r.num_tokens, 64);
}

TEST(Tasks, PoolingAgainstHiddenStates) {
  const Folder folder(kEncoder, Head::none);
  const Model model = folder.load();
  const std::vector<TextInput> texts{{"one", {}}, {"a longer text than the others", {}}, {"", {}}};
  for (const char* pooling : {"mean", "cls", "last", "weighted_mean"}) {
    EmbedOptions options;
    options.pooling = pooling;
    const EmbedResult r = *model.embed(texts, options);
    ASSERT_EQ(r.rows, 3);
    ASSERT_EQ(r.dimensions, kHidden);
    for (size_t n = 0; n < texts.size(); ++n) {
      const ForwardOutput raw = forward_of(model, model.tokenize(texts[n])->ids);
      for (int64_t c = 0; c < kHidden; ++c) {
        double sum = 0, total = 0;
        for (int64_t t = 0; t < raw.tokens; ++t) {
          const bool chosen = std::string_view(pooling) == "cls"    ? t == 0
                              : std::string_view(pooling) == "last" ? t == raw.tokens - 1
                                                                    : true;
          const double w = std::string_view(pooling) == "weighted_mean" ? double(t + 1) : chosen;
          sum += w * static_cast<double>(raw.hidden[static_cast<size_t>(t * kHidden + c)]);
          total += w;
        }
        EXPECT_NEAR(r.values[n * kHidden + static_cast<size_t>(c)], sum / total, 1e-6) << pooling;
      }
    }
  }
  EmbedOptions unit;
  unit.normalize = true;
  const EmbedResult r = *model.embed(texts, unit);
  for (size_t n = 0; n < 3; ++n) {
    double square = 0;
    for (size_t c = 0; c < kHidden; ++c) square += std::pow(r.values[n * kHidden + c], 2);
    EXPECT_NEAR(square, 1, 1e-6);
  }
  EmbedOptions unknown;
  unknown.pooling = "median";
  EXPECT_NE(model.embed(texts, unknown).status().hint().find("mean"), std::string::npos);
}

// A sentence-transformers folder: its pooling, its dense layer with tanh, its prompt, its length.
TEST(Tasks, EmbedFollowsTheSentenceTransformersFolder) {
  const Folder folder(kEncoder, Head::none);
  const test::TempDir& d = folder.directory;
  d.write("modules.json", R"([
    {"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
    {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
    {"idx":2,"name":"2","path":"2_Dense","type":"sentence_transformers.models.Dense"},
    {"idx":3,"name":"3","path":"3_Normalize","type":"sentence_transformers.models.Normalize"}])");
  d.write("1_Pooling/config.json",
          R"({"word_embedding_dimension":32,"pooling_mode_cls_token":true,)"
          R"("pooling_mode_mean_tokens":false})");
  d.write("2_Dense/config.json", R"({"in_features":32,"out_features":2,"bias":true,
    "activation_function":"torch.nn.modules.activation.Tanh"})");
  std::vector<float> weight(2 * kHidden), bias{0.5f, -0.25f};
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<float>(i % 7) * 0.1f - 0.3f;
  const std::vector<StoredTensor> tensors{
      {"linear.weight", Dtype::f32, {2, kHidden}, std::as_bytes(std::span(weight))},
      {"linear.bias", Dtype::f32, {2}, std::as_bytes(std::span(bias))}};
  ASSERT_TRUE(write_safetensors(d.path() + "/2_Dense/model.safetensors", tensors).ok());
  d.write("config_sentence_transformers.json", R"({"prompts":{"query":"find: "}})");
  d.write("sentence_bert_config.json", R"({"max_seq_length":8})");

  const Model model = folder.load();
  EmbedOptions options;
  options.prompt_name = "query";
  const EmbedResult r = *model.embed({{"one"}}, options);
  ASSERT_EQ(r.dimensions, 2);
  const ForwardOutput raw = forward_of(model, model.tokenize({"find: one"})->ids);
  double expected[2], square = 0;
  for (size_t o = 0; o < 2; ++o) {
    double sum = static_cast<double>(bias[o]);
    for (size_t c = 0; c < kHidden; ++c) {
      sum += static_cast<double>(weight[o * kHidden + c]) * static_cast<double>(raw.hidden[c]);
    }
    expected[o] = std::tanh(sum);
    square += expected[o] * expected[o];
  }
  for (size_t o = 0; o < 2; ++o) EXPECT_NEAR(r.values[o], expected[o] / std::sqrt(square), 1e-5);

  const Status too_long = model.embed({{"one two three four five six seven"}}).status();
  EXPECT_EQ(too_long.code(), StatusCode::too_long);
  EXPECT_NE(too_long.message().find("at most 8"), std::string::npos) << too_long.message();
  options.prompt_name = "answer";
  EXPECT_NE(model.embed({{"one"}}, options).status().hint().find("query"), std::string::npos);
}

// The causal score is a product of conditional probabilities of one pass; the masked one takes a
// pass per token.
TEST(Tasks, ScoresAgainstForward) {
  const TextInput text{"Berlin is the capital of Germany.", {}};
  {
    const Folder folder(kDecoder, Head::language_model);
    const Model model = folder.load();
    const std::vector<int32_t> ids = model.tokenize(text)->ids;
    const ForwardOutput raw = forward_of(model, ids);
    const ScoreResult r = (*model.score({text}))[0];
    ASSERT_EQ(r.tokens.size() + 1, ids.size());  // all but [CLS]
    double total = 0;
    for (size_t t = 1; t < ids.size(); ++t) {
      const double p = softmax_row(raw, static_cast<int64_t>(t) - 1)[static_cast<size_t>(ids[t])];
      EXPECT_NEAR(r.tokens[t - 1].logprob, std::log(p), kRounding);
      total += std::log(p);
    }
    EXPECT_NEAR(r.total, total, 1e-6);
    EXPECT_NEAR(r.bits_per_byte, -total / std::numbers::ln2 / static_cast<double>(text.text.size()),
                kRounding);
    EXPECT_EQ(r.tokens.back().bytes.second, text.text.size());
  }
  {
    const Folder folder(kEncoder, Head::language_model);
    const Model model = folder.load();
    const std::vector<int32_t> ids = model.tokenize(text)->ids;
    const ScoreResult r = (*model.score({text}))[0];
    ASSERT_EQ(r.tokens.size() + 2, ids.size());
    for (size_t t = 1; t + 1 < ids.size(); ++t) {
      std::vector<int32_t> masked = ids;
      masked[t] = 8191;
      const double p = softmax_row(forward_of(model, masked),
                                   static_cast<int64_t>(t))[static_cast<size_t>(ids[t])];
      EXPECT_NEAR(r.tokens[t - 1].logprob, std::log(p), kRounding);
    }
  }
}

TEST(Tasks, ClassifyOfBothArms) {
  for (const Arm arm : {kEncoder, kDecoder}) {
    const Folder folder(arm, Head::sequence_classification);
    const Model model = folder.load();
    const TextInput pair{"A man sleeps.", "Somebody is awake."};
    ClassifyOptions options;
    options.top_k = 0;
    const ClassifyResult r = (*model.classify({pair}, options))[0];
    const ForwardOutput raw = forward_of(model, model.tokenize(pair)->ids);
    ASSERT_EQ(raw.logit_rows, 1);
    const std::vector<double> p = softmax_row(raw, 0);
    ASSERT_EQ(r.labels.size(), 3U);
    const std::vector<std::string> names = {"no", "maybe", "yes"};
    for (const LabelScore& l : r.labels) {
      const auto at = std::find(names.begin(), names.end(), l.label) - names.begin();
      EXPECT_NEAR(l.score, p[static_cast<size_t>(at)], 1e-12);
    }
    options.function = ScoreFunction::sigmoid;
    const ClassifyResult single = (*model.classify({pair}, options))[0];
    for (const LabelScore& l : single.labels) {
      const auto at = std::find(names.begin(), names.end(), l.label) - names.begin();
      EXPECT_NEAR(l.score,
                  1 / (1 + std::exp(-static_cast<double>(raw.logits[static_cast<size_t>(at)]))),
                  1e-9);
    }
  }
}

TEST(Tasks, TokenClassifyOffsetsCountCharacters) {
  const Folder folder(kEncoder, Head::token_classification);
  const Model model = folder.load();
  const std::string text = "Zürich und Köln";
  TokenClassifyOptions options;
  options.ignore_labels = {};
  const auto r = model.token_classify(std::vector<TextInput>{{text, {}}}, options);
  ASSERT_TRUE(r.ok()) << r.status().to_string();
  const std::vector<Entity>& entities = (*r)[0].entities;
  ASSERT_FALSE(entities.empty());
  EXPECT_EQ(entities.front().start, 0U);
  EXPECT_EQ(entities.back().end, 15U);  // 15 characters, 17 bytes
  for (size_t i = 1; i < entities.size(); ++i) EXPECT_GE(entities[i].start, entities[i - 1].start);
  for (const Aggregation a :
       {Aggregation::simple, Aggregation::first, Aggregation::average, Aggregation::max}) {
    options.aggregation = a;
    const auto grouped = model.token_classify(std::vector<TextInput>{{text, {}}}, options);
    ASSERT_TRUE(grouped.ok());
    EXPECT_LE((*grouped)[0].entities.size(), entities.size());
  }
}

TEST(Tasks, GenerateStopsStreamsAndCancels) {
  const Folder folder(kDecoder, Head::language_model);
  const Model model = folder.load();
  GenerateOptions options;
  options.max_new_tokens = 20;
  options.ignore_eos = true;
  std::string streamed;
  const auto full = model.generate({{"one two", {}}}, options, [&](size_t, std::string_view piece) {
    streamed += piece;
    return true;
  });
  ASSERT_TRUE(full.ok());
  const GenerateResult& r = (*full)[0];
  EXPECT_EQ(streamed, r.text);
  EXPECT_EQ(r.finish_reason, FinishReason::length);
  EXPECT_EQ(r.tokens.size(), 20U);
  ASSERT_GT(r.text.size(), 6U);

  options.stop = {r.text.substr(r.text.size() / 2, 3)};
  const GenerateResult stopped = (*model.generate({{"one two", {}}}, options))[0];
  EXPECT_EQ(stopped.finish_reason, FinishReason::stop);
  EXPECT_EQ(stopped.text, r.text.substr(0, r.text.find(options.stop[0])));

  options.stop.clear();
  int pieces = 0;
  const auto cancelled = model.generate({{"one two", {}}}, options,
                                        [&](size_t, std::string_view) { return ++pieces < 3; });
  EXPECT_EQ((*cancelled)[0].finish_reason, FinishReason::cancelled);
  EXPECT_EQ(pieces, 3);
}

TEST(Tasks, GenerationEndsAtTheLastPosition) {
  const Folder folder(kDecoder, Head::language_model);
  const Model model = folder.load();
  GenerateOptions options;
  options.max_new_tokens = 500;
  options.ignore_eos = true;
  const GenerateResult r = (*model.generate({{"one two three", {}}}, options))[0];
  EXPECT_EQ(r.prompt_tokens + static_cast<int64_t>(r.tokens.size()), 64);
  EXPECT_EQ(r.finish_reason, FinishReason::length);
}

// Many threads share one model; each gets what it would get alone.
TEST(Tasks, ConcurrentCalls) {
  const Folder folder(kEncoder, Head::language_model);
  const Model model = folder.load();
  std::vector<TextInput> texts;
  for (int i = 0; i < 8; ++i) texts.push_back({fmt::format("number {} is [MASK] here", i), {}});
  std::vector<FillMaskResult> alone;
  for (const TextInput& t : texts) alone.push_back((*model.fill_mask({t}))[0]);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) {
        const FillMaskResult r = (*model.fill_mask({texts[i]}))[0];
        for (size_t k = 0; k < r.masks[0].size(); ++k) {
          wrong += r.masks[0][k].score != alone[i].masks[0][k].score;
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Tasks, WithoutWeightsOnlyTextIsProcessed) {
  const Folder folder(kDecoder, Head::language_model);
  std::filesystem::remove(folder.directory.path() + "/model.safetensors");
  EXPECT_FALSE(Model::load(folder.directory.path()).ok());
  ModelOptions options;
  options.load_weights = false;
  const Result<Model> model = Model::load(folder.directory.path(), options);
  ASSERT_TRUE(model.ok()) << model.status().to_string();
  const auto tokens = model->tokenize({"some words", {}});
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ(*model->detokenize(tokens->ids, true), "some words");
  EXPECT_NE(model->generate({{"a"}}).status().hint().find("load_weights"), std::string::npos);
}

TEST(Tasks, ForwardChecksItsInput) {
  const Folder folder(kEncoder, Head::language_model);
  const Model model = folder.load();
  const auto status = [&](ForwardInput input) {
    return model.forward(std::vector<ForwardInput>{std::move(input)}).status();
  };
  EXPECT_EQ(status({{}, {}}).code(), StatusCode::invalid_argument);
  EXPECT_EQ(status({{8192}, {}}).code(), StatusCode::invalid_argument);
  EXPECT_EQ(status({{-1}, {}}).code(), StatusCode::invalid_argument);
  EXPECT_EQ(status({{1, 2}, {{2}}}).code(), StatusCode::invalid_argument);
  EXPECT_EQ(status({std::vector<int32_t>(65, 1), {}}).code(), StatusCode::too_long);
  const auto some = model.forward(std::vector<ForwardInput>{{{1, 2, 3}, {{2}}}});
  const ForwardOutput all = forward_of(model, {1, 2, 3});
  ASSERT_EQ((*some)[0].logits.size(), 8192U);
  EXPECT_TRUE(std::equal((*some)[0].logits.begin(), (*some)[0].logits.end(),
                         all.logits.begin() + 2 * 8192));
}

}  // namespace
}  // namespace ettin
