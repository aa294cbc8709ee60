// Streams that share batches, chunks and beginnings against each stream computed alone, in full
// passes without a cache. Every comparison is of bits.
#include "infer/decode_engine.h"

#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "infer/sampler.h"
#include "model/heads.h"
#include "model/test_models.h"

namespace ettin {
namespace {

struct Step {
  int32_t id;
  double logit, normalizer;
  std::vector<int32_t> best;
  friend bool operator==(const Step&, const Step&) = default;
};

struct Recorder final : DecodeSink {
  std::vector<Step> steps;
  std::optional<FinishReason> reason;
  int64_t cached = 0;
  std::function<bool()> after_token;

  bool on_token(const DecodedToken& t) override {
    EXPECT_FALSE(reason.has_value());
    Step s{t.chosen.id, t.chosen.logit, t.normalizer, {}};
    for (const TokenLogit& b : t.best) s.best.push_back(b.id);
    steps.push_back(std::move(s));
    return !after_token || after_token();
  }
  void on_end(FinishReason why, int64_t cached_tokens) override {
    EXPECT_FALSE(reason.has_value());
    reason = why;
    cached = cached_tokens;
  }
};

class Random {
 public:
  explicit Random(uint64_t stream) : stream_(stream) {}
  int64_t below(int64_t n) {
    return static_cast<int64_t>(random_bits(5, stream_, next_++) % static_cast<uint64_t>(n));
  }
  std::vector<int32_t> ids(int64_t count) {
    std::vector<int32_t> out(static_cast<size_t>(count));
    for (int32_t& id : out) id = static_cast<int32_t>(2 + below(95));
    return out;
  }

 private:
  uint64_t stream_, next_ = 0;
};

// A tiny decoder; its window of 4 keys is shorter than all that is shared here.
class DecodeEngineTest : public ::testing::Test {
 protected:
  DecodeEngineTest() {
    const ModelConfig config = test::tiny_config(kDecoder);
    const test::TinyWeights weights(config);
    folder_.write("config.json", test::config_json(config));
    EXPECT_TRUE(write_safetensors(folder_.path() + "/model.safetensors", weights.tensors()).ok());
    ModelOptions options;
    options.threads = 2;
    auto session = Session::load(folder_.path(), options);
    EXPECT_TRUE(session.ok()) << session.status().to_string();
    session_ = *session;
  }

  static std::shared_ptr<const GenerateOptions> greedy(int64_t tokens) {
    auto o = std::make_shared<GenerateOptions>();
    o->max_new_tokens = tokens;
    o->ignore_eos = true;
    return o;
  }

  // What a stream must say: one full pass over all ids per token.
  std::vector<Step> alone(std::vector<int32_t> ids, const GenerateOptions& options,
                          uint64_t stream) const {
    Sampler sampler(options, stream);
    std::vector<Step> steps;
    const Backend& b = session_->backend();
    for (bool more = true; more;) {
      Arena arena;
      Batch batch;
      batch.append(ids);
      const View hidden = backbone_forward(session_->network(), batch, {}, arena);
      const int64_t row[] = {batch.tokens() - 1};
      const View logits = vocab_logits(session_->network(), hidden, row, arena);
      std::vector<TokenLogit> best(static_cast<size_t>(std::max<int64_t>(1, options.top_logprobs)));
      std::vector<double> normalizer(1), values(97);
      b.log_sum_exp(logits, normalizer);
      b.top_k(logits, static_cast<int64_t>(best.size()), best);
      b.copy_to_host(logits, std::span(values));
      std::vector<double> scratch = values;
      const int32_t id = sampler.choose(scratch, ids);
      Step s{id, values[static_cast<size_t>(id)], normalizer[0], {}};
      for (const TokenLogit& t : best) s.best.push_back(t.id);
      steps.push_back(std::move(s));
      ids.push_back(id);
      more = static_cast<int64_t>(steps.size()) < options.max_new_tokens &&
             static_cast<int64_t>(ids.size()) < session_->max_tokens() &&
             (options.ignore_eos || id != 1);
    }
    return steps;
  }

  test::TempDir folder_;
  std::shared_ptr<const Session> session_;
};

// Random lengths, options and arrival steps under random limits; half of the prompts continue one
// of a few beginnings, some are the same as another. This catches a chunk that goes on at a wrong
// place, a kept beginning that is not what it was, logits handed to another stream.
TEST_F(DecodeEngineTest, StreamsGetWhatTheyWouldGetAlone) {
  int64_t cached = 0, streams = 0;
  for (uint64_t round = 0; round < 12; ++round) {
    Random random(round);
    std::vector<std::vector<int32_t>> beginnings;
    for (int i = 0; i < 3; ++i) beginnings.push_back(random.ids(33 + random.below(120)));
    struct One {
      std::vector<int32_t> ids;
      std::shared_ptr<GenerateOptions> options;
      int64_t arrival;
      Recorder got;
    };
    const int64_t count = round == 0 ? 200 : 25;
    std::vector<std::unique_ptr<One>> all;
    for (int64_t i = 0; i < count; ++i) {
      auto one = std::make_unique<One>();
      if (random.below(2) == 0) one->ids = beginnings[static_cast<size_t>(random.below(3))];
      if (i > 0 && random.below(8) == 0) {
        one->ids = all[static_cast<size_t>(random.below(i))]->ids;
      } else {
        const std::vector<int32_t> rest = random.ids(1 + random.below(random.below(4) ? 20 : 200));
        one->ids.insert(one->ids.end(), rest.begin(), rest.end());
      }
      one->options = std::make_shared<GenerateOptions>();
      one->options->max_new_tokens = 1 + random.below(12);
      one->options->ignore_eos = random.below(2) == 0;
      one->options->top_logprobs = random.below(4);
      if (random.below(2) == 0) {
        one->options->temperature = 0.9;
        one->options->repetition_penalty = random.below(2) == 0 ? 1 : 1.2;
      }
      one->arrival = random.below(2) == 0 ? 0 : random.below(30);
      all.push_back(std::move(one));
    }
    DecodeLimits limits;
    limits.streams = static_cast<size_t>(1 + random.below(40));
    limits.step_tokens = 1 + random.below(300);
    limits.chunk_tokens = 1 + random.below(60);
    limits.cache_bytes = random.below(3) == 0 ? 1 << 17 : 1 << 30;
    limits.prefix_bytes = random.below(3) == 0 ? 1 << 18 : 1 << 24;
    limits.keep_ended = random.below(2) == 0;
    DecodeEngine engine(*session_, limits);
    bool busy = true;
    for (int64_t step = 0; busy || step <= 30; ++step) {
      for (size_t i = 0; i < all.size(); ++i) {
        if (all[i]->arrival != step) continue;
        ASSERT_TRUE(engine.submit({all[i]->ids, all[i]->options, i, &all[i]->got}).ok());
      }
      busy = engine.step();
    }
    for (size_t i = 0; i < all.size(); ++i) {
      One& one = *all[i];
      ASSERT_TRUE(one.got.reason.has_value());
      const std::vector<Step> expected = alone(one.ids, *one.options, i);
      ASSERT_EQ(one.got.steps.size(), expected.size()) << "round " << round << " stream " << i;
      for (size_t t = 0; t < expected.size(); ++t) {
        ASSERT_TRUE(one.got.steps[t] == expected[t])
            << "round " << round << " stream " << i << " of " << one.ids.size() << " ids, "
            << one.got.cached << " cached, token " << t;
      }
      cached += one.got.cached > 0;
      ++streams;
    }
    EXPECT_LE(engine.prefixes().bytes(), limits.prefix_bytes);
  }
  EXPECT_GT(cached, streams / 5);  // or the comparison says nothing
}

TEST_F(DecodeEngineTest, ALongPromptComesInChunksAndStallsNobody) {
  const std::vector<int32_t> prompt = Random(1).ids(400);
  const std::vector<Step> expected = alone(prompt, *greedy(4), 0);
  DecodeLimits limits;
  limits.step_tokens = 64;
  limits.chunk_tokens = 16;
  DecodeEngine engine(*session_, limits);
  Recorder quick, slow;
  ASSERT_TRUE(engine.submit({Random(2).ids(10), greedy(60), 0, &quick}).ok());
  ASSERT_TRUE(engine.step());
  ASSERT_TRUE(engine.submit({prompt, greedy(4), 0, &slow}).ok());
  for (size_t step = 2; step < 26; ++step) {
    ASSERT_TRUE(engine.step());
    EXPECT_EQ(quick.steps.size(), step);  // a token in every step
    EXPECT_TRUE(slow.steps.empty());
  }
  ASSERT_TRUE(engine.step());
  EXPECT_EQ(slow.steps.size(), 1U);  // after 400 / 16 steps
  engine.run();
  EXPECT_EQ(slow.steps, expected);
  EXPECT_EQ(quick.steps.size(), 60U);
}

TEST_F(DecodeEngineTest, PromptsThatBeginAlikeComputeItOnce) {
  const std::vector<int32_t> shared = Random(3).ids(100);
  for (const bool reuse : {true, false}) {
    DecodeLimits limits;
    if (!reuse) limits.prefix_bytes = 0;
    DecodeEngine engine(*session_, limits);
    std::vector<Recorder> got(10);
    std::vector<std::vector<int32_t>> prompts;
    for (size_t i = 0; i < got.size(); ++i) {
      prompts.push_back(shared);
      if (i < 8) {
        prompts.back().push_back(static_cast<int32_t>(2 + i));
      } else {  // two that are the same
        prompts.back().insert(prompts.back().end(), 50, 11);
      }
      ASSERT_TRUE(engine.submit({prompts[i], greedy(3), 0, &got[i]}).ok());
    }
    engine.run();
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].steps, alone(prompts[i], *greedy(3), 0)) << i;
      // All but the first; when the whole prompt came before, all but its last id.
      EXPECT_EQ(got[i].cached, !reuse || i == 0 ? 0 : (i < 9 ? 100 : 149)) << i;
    }
  }
}

// A conversation: the next turn begins with the last one and its answer. And the same prompt again.
TEST_F(DecodeEngineTest, EndedStreamsServeLaterOnes) {
  DecodeLimits limits;
  limits.keep_ended = true;
  DecodeEngine engine(*session_, limits);
  const std::vector<int32_t> first = Random(4).ids(50);
  Recorder a, b, c;
  ASSERT_TRUE(engine.submit({first, greedy(20), 0, &a}).ok());
  engine.run();
  EXPECT_EQ(a.cached, 0);
  std::vector<int32_t> second = first;
  for (const Step& s : a.steps) second.push_back(s.id);
  second.insert(second.end(), {5, 6, 7});
  ASSERT_TRUE(engine.submit({second, greedy(5), 0, &b}).ok());
  engine.run();
  EXPECT_EQ(b.cached, 69);  // the answer's last token was never read
  EXPECT_EQ(b.steps, alone(second, *greedy(5), 0));
  ASSERT_TRUE(engine.submit({first, greedy(20), 0, &c}).ok());
  engine.run();
  EXPECT_EQ(c.cached, 49);
  EXPECT_EQ(c.steps, a.steps);
}

TEST_F(DecodeEngineTest, CancelEndsOneStreamAndNoOther) {
  DecodeLimits limits;
  limits.streams = 3;
  limits.step_tokens = limits.chunk_tokens = 8;
  DecodeEngine engine(*session_, limits);
  std::vector<Recorder> got(6);
  std::vector<DecodeEngine::StreamId> ids;
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < got.size(); ++i) {
    prompts.push_back(Random(10 + i).ids(i == 1 ? 100 : 5));
    ids.push_back(*engine.submit({prompts[i], greedy(30), 0, &got[i]}));
  }
  for (int s = 0; s < 6; ++s) engine.step();
  engine.cancel(ids[0]);  // running
  engine.cancel(ids[1]);  // in its prompt
  engine.cancel(ids[5]);  // waiting
  engine.cancel(12345);   // nobody
  const size_t before = got[0].steps.size();
  EXPECT_GT(before, 0U);
  EXPECT_TRUE(got[1].steps.empty());
  got[3].after_token = [&] { return got[3].steps.size() < 4; };      // ends itself
  got[4].after_token = [&] { return engine.cancel(ids[4]), true; };  // from inside a step
  engine.run();
  for (const size_t i : {0, 1, 4, 5}) EXPECT_EQ(got[i].reason, FinishReason::cancelled) << i;
  EXPECT_EQ(got[0].steps.size(), before);
  EXPECT_EQ(got[4].steps.size(), 1U);
  EXPECT_TRUE(got[1].steps.empty() && got[5].steps.empty());
  EXPECT_EQ(got[3].reason, FinishReason::stop);
  EXPECT_EQ(got[3].steps.size(), 4U);
  EXPECT_EQ(got[2].reason, FinishReason::length);
  EXPECT_EQ(got[2].steps, alone(prompts[2], *greedy(30), 0));
}

TEST_F(DecodeEngineTest, SubmissionsFromManyThreadsWhileItServes) {
  DecodeEngine engine(*session_);
  std::vector<std::unique_ptr<Recorder>> got;
  for (int i = 0; i < 40; ++i) got.push_back(std::make_unique<Recorder>());
  std::atomic<int> tokens{0};
  for (auto& g : got) g->after_token = [&] { return ++tokens, true; };
  {
    std::jthread server([&](const std::stop_token& stop) { engine.serve(stop); });
    std::vector<std::jthread> clients;
    for (size_t c = 0; c < 4; ++c) {
      clients.emplace_back([&, c] {
        for (size_t i = c; i < got.size(); i += 4) {
          EXPECT_TRUE(engine.submit({Random(i).ids(20), greedy(5), 0, got[i].get()}).ok());
        }
      });
    }
    while (tokens < 200) std::this_thread::yield();
  }
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i]->steps, alone(Random(i).ids(20), *greedy(5), 0)) << i;
  }
}

TEST_F(DecodeEngineTest, WhatIsLeftIsCancelledWithTheEngine) {
  Recorder running, waiting;
  {
    DecodeEngine engine(*session_, {.streams = 1});
    ASSERT_TRUE(engine.submit({{2, 3}, greedy(9), 0, &running}).ok());
    ASSERT_TRUE(engine.submit({{2, 3}, greedy(9), 0, &waiting}).ok());
    engine.step();
  }
  EXPECT_EQ(running.reason, FinishReason::cancelled);
  EXPECT_EQ(running.steps.size(), 1U);
  EXPECT_EQ(waiting.reason, FinishReason::cancelled);
}

TEST_F(DecodeEngineTest, PromptsAreChecked) {
  DecodeEngine engine(*session_);
  Recorder r;
  const auto code = [&](std::vector<int32_t> ids, int64_t tokens = 1) {
    return engine.submit({std::move(ids), greedy(tokens), 0, &r}).status().code();
  };
  EXPECT_EQ(code({}), StatusCode::invalid_argument);
  EXPECT_EQ(code({97}), StatusCode::invalid_argument);
  EXPECT_EQ(code({-1}), StatusCode::invalid_argument);
  EXPECT_EQ(code({3}, 0), StatusCode::invalid_argument);
  EXPECT_EQ(code(std::vector<int32_t>(512, 3)), StatusCode::too_long);
  EXPECT_FALSE(engine.step());
}

}  // namespace
}  // namespace ettin
