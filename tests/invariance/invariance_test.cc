// The contract of backend.h over whole models: the bits of a sequence's result do not depend on
// what else is in the batch, on its order, on the number of threads, or on a cache. Thousands of
// random batches of both arms, against every sequence computed alone.
#include <cstdio>
#include <map>
#include <numeric>

#include <gtest/gtest.h>

#include "backend/test_backends.h"
#include "base/rng.h"
#include "model/heads.h"
#include "model/kv_cache.h"
#include "model/test_models.h"

namespace ettin {
namespace {

using test::tiny_network;
using test::TinyOutput;

class Random {
 public:
  explicit Random(uint64_t stream) : stream_(stream) {}
  int64_t below(int64_t n) {
    return static_cast<int64_t>(random_bits(11, stream_, next_++) % static_cast<uint64_t>(n));
  }
  // Mostly short, now and then beyond the blocks of the attention kernel.
  int64_t length() { return 1 + below(below(10) == 0 ? 300 : 40); }
  std::vector<int32_t> ids(int64_t count) {
    std::vector<int32_t> out(static_cast<size_t>(count));
    for (int32_t& id : out) id = static_cast<int32_t>(below(97));
    return out;
  }

 private:
  uint64_t stream_, next_ = 0;
};

std::vector<float> to_host(const Backend& backend, ConstView v) {
  std::vector<float> out(static_cast<size_t>(v.rows * v.cols));
  backend.copy_to_host(v, std::span(out));
  return out;
}

// Hidden states and the last row's logits of every sequence of one batch.
std::vector<TinyOutput> run(const Network& network,
                            const std::vector<const std::vector<int32_t>*>& sequences) {
  Batch batch;
  std::vector<int64_t> last;
  for (const auto* ids : sequences) {
    batch.append(*ids);
    last.push_back(batch.tokens() - 1);
  }
  Arena arena;
  const View hidden = backbone_forward(network, batch, {}, arena);
  const View logits = vocab_logits(network, hidden, last, arena);
  std::vector<TinyOutput> out;
  for (size_t n = 0; n < sequences.size(); ++n) {
    out.push_back(
        {to_host(*network.backend,
                 hidden.slice_rows(batch.starts[n], batch.starts[n + 1] - batch.starts[n])),
         to_host(*network.backend, logits.slice_rows(static_cast<int64_t>(n), 1))});
  }
  return out;
}

class RandomBatches : public ::testing::TestWithParam<WeightFormat> {};

TEST_P(RandomBatches, EqualEverySequenceAlone) {
  constexpr int64_t kPool = 60;
  const int64_t kBatchesPerNetwork = GetParam() == WeightFormat::f32 ? 250 : 80;
  int64_t batches = 0, sequences = 0;
  for (const Arm arm : {kEncoder, kDecoder}) {
    const ModelConfig config = test::tiny_config(arm);
    Random random(arm == kEncoder ? 1 : 2);
    std::vector<std::vector<int32_t>> pool;
    for (int64_t i = 0; i < kPool; ++i) pool.push_back(random.ids(random.length()));
    std::vector<TinyOutput> alone;
    {
      const Network one =
          tiny_network(config, must_make({.name = "cpu", .format = GetParam(), .threads = 1}));
      for (const auto& ids : pool) alone.push_back(run(one, {&ids})[0]);
    }
    for (const int threads : {1, 2, 3, 4, 7}) {
      const Network network = tiny_network(
          config, must_make({.name = "cpu", .format = GetParam(), .threads = threads}));
      for (int64_t b = 0; b < kBatchesPerNetwork; ++b) {
        std::vector<size_t> chosen;
        std::vector<const std::vector<int32_t>*> batch;
        for (int64_t n = 1 + random.below(12); n > 0; --n) {
          chosen.push_back(static_cast<size_t>(random.below(kPool)));
          batch.push_back(&pool[chosen.back()]);
        }
        const std::vector<TinyOutput> together = run(network, batch);
        for (size_t n = 0; n < chosen.size(); ++n) {
          ASSERT_EQ(together[n], alone[chosen[n]])
              << arm.name << " with " << threads << " threads, sequence " << n << " of "
              << chosen.size() << ", length " << pool[chosen[n]].size();
        }
        ++batches;
        sequences += static_cast<int64_t>(chosen.size());
      }
    }
  }
  std::printf("%ld batches of %ld sequences, all bits equal\n", static_cast<long>(batches),
              static_cast<long>(sequences));
  EXPECT_EQ(batches, 10 * kBatchesPerNetwork);
}

INSTANTIATE_TEST_SUITE_P(Formats, RandomBatches,
                         ::testing::Values(WeightFormat::f32, WeightFormat::bf16, WeightFormat::q8,
                                           WeightFormat::q4),
                         [](const auto& test) { return std::string(format_name(test.param)); });

// Prompts of different lengths join at different times, in chunks of random sizes, batched with
// others: every row equals the row of one full pass.
TEST(Invariance, CachedChunksEqualOnePass) {
  for (const auto& [name, format] : {std::pair{"cpu", WeightFormat::f32},
                                     {"cpu", WeightFormat::bf16},
                                     {"cpu", WeightFormat::q8},
                                     {"cpu", WeightFormat::q4},
                                     {"ref", WeightFormat::f32}}) {
    const Network network = tiny_network(test::tiny_config(kDecoder),
                                         must_make({.name = name, .format = format, .threads = 2}));
    Random random(3);
    for (int round = 0; round < 40; ++round) {
      struct Stream {
        std::vector<int32_t> ids;
        std::vector<float> full;
        KvCache cache;
      };
      std::vector<Stream> streams;
      for (int64_t n = 1 + random.below(5); n > 0; --n) {
        Stream s{random.ids(random.length()),
                 {},
                 KvCache(network.config, network.backend->cache_dtype())};
        s.full = run(network, {&s.ids})[0].hidden;
        streams.push_back(std::move(s));
      }
      for (bool more = true; more;) {
        more = false;
        Batch batch;
        std::vector<KvCache*> caches;
        std::vector<std::pair<size_t, int64_t>> origin;  // stream and position of each sequence
        for (size_t i = 0; i < streams.size(); ++i) {
          Stream& s = streams[i];
          const int64_t left = static_cast<int64_t>(s.ids.size()) - s.cache.past();
          if (left == 0) continue;
          more = true;
          if (random.below(3) == 0) continue;  // sits this step out
          const int64_t chunk = std::min(left, random.below(2) == 0 ? 1 : 1 + random.below(90));
          origin.emplace_back(i, s.cache.past());
          batch.append(std::span(s.ids).subspan(static_cast<size_t>(s.cache.past()),
                                                static_cast<size_t>(chunk)),
                       s.cache.past());
          caches.push_back(&s.cache);
        }
        if (batch.tokens() == 0) continue;
        Arena arena;
        const std::vector<float> hidden =
            to_host(*network.backend, backbone_forward(network, batch, caches, arena));
        for (size_t n = 0; n < origin.size(); ++n) {
          const auto [stream, position] = origin[n];
          const auto count = static_cast<size_t>((batch.starts[n + 1] - batch.starts[n]) * 32);
          ASSERT_EQ(std::memcmp(hidden.data() + batch.starts[n] * 32,
                                streams[stream].full.data() + position * 32, count * sizeof(float)),
                    0)
              << name << " position " << position;
        }
      }
    }
  }
}

// A row of the vocabulary head does not depend on which other rows were asked for.
TEST(Invariance, HeadRowsAreIndependent) {
  const Network network =
      tiny_network(test::tiny_config(kEncoder), must_make({.name = "cpu", .threads = 2}));
  Random random(4);
  Batch batch;
  batch.append(random.ids(100));
  Arena arena;
  const View hidden = backbone_forward(network, batch, {}, arena);
  std::vector<int64_t> all(100);
  std::iota(all.begin(), all.end(), 0);
  const std::vector<float> full =
      to_host(*network.backend, vocab_logits(network, hidden, all, arena));
  for (const int64_t row : {0, 1, 50, 99}) {
    const int64_t one[] = {row};
    const std::vector<float> alone =
        to_host(*network.backend, vocab_logits(network, hidden, one, arena));
    EXPECT_EQ(std::memcmp(alone.data(), full.data() + row * 97, 97 * sizeof(float)), 0);
  }
}

}  // namespace
}  // namespace ettin
