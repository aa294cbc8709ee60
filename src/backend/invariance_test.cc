// The bits of a sequence's result do not depend on the batch it is in, its place there, the number
// of threads, or on whether its keys come from a cache.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "backend/test_backends.h"
#include "base/rng.h"
#include "tensor/stored_tensor.h"

namespace ettin {
namespace {

constexpr int64_t kHidden = 48, kHeads = 3, kWide = 40;
constexpr uint64_t kSeed = 7;

class Random {
 public:
  explicit Random(uint64_t stream) : stream_(stream) {}
  int64_t below(int64_t n) {
    return static_cast<int64_t>(random_bits(kSeed, stream_, next_++) % static_cast<uint64_t>(n));
  }
  float real() { return static_cast<float>(4 * random_uniform(kSeed, stream_, next_++) - 2); }

 private:
  uint64_t stream_, next_ = 0;
};

struct Matrix {
  std::vector<float> values;
  StoredTensor tensor;
  Matrix(Random& random, std::vector<uint64_t> shape, float scale = 1) {
    tensor.shape = std::move(shape);
    values.resize(tensor.element_count());
    for (float& v : values) v = scale * random.real();
    tensor.bytes = std::as_bytes(std::span(values));
  }
};

// Weights of a little layer, packed by one backend.
struct Layer {
  LinearWeight qkv, gated, back;
  NormWeight norm;
  RopeTable rope;

  explicit Layer(const Backend& b) {
    Random random(1);
    const uint64_t H = kHidden, W = kWide;
    // Small queries and keys, so that many weights of attention count, not one near 1.
    const Matrix wqkv(random, {3 * H, H}, 0.1f), bias(random, {3 * H}, 0.1f);
    const Matrix wi(random, {2 * W, H});
    const Matrix wo(random, {H, W}), gain(random, {H});
    qkv = b.pack_matrix({{&wqkv.tensor}, {&bias.tensor}}, MatrixUse::linear);
    gated = b.pack_matrix({{&wi.tensor}, {}}, MatrixUse::gated);
    back = b.pack_matrix({{&wo.tensor}, {}}, MatrixUse::linear);
    norm = b.pack_norm(gain.tensor, nullptr, 1e-5);
    rope = b.make_rope_table(160000.0, kHidden / kHeads, 1024);
  }
};

using Rows = std::vector<float>;

Rows random_rows(uint64_t stream, int64_t length) {
  Random random(stream);
  Rows rows(static_cast<size_t>(length * kHidden));
  for (float& v : rows) v = random.real();
  return rows;
}

View view_of(Rows& rows) {
  return {reinterpret_cast<std::byte*>(rows.data()), Dtype::f32,
          static_cast<int64_t>(rows.size()) / kHidden, kHidden, kHidden};
}

// A ring of cached rows, full of NaN.
struct Ring {
  std::vector<std::byte> bytes;
  View view;
  Ring(const Backend& b, int64_t capacity, int64_t hidden = kHidden)
      : bytes(static_cast<size_t>(capacity * hidden) * dtype_bytes(b.cache_dtype()),
              std::byte{0xff}),
        view{bytes.data(), b.cache_dtype(), capacity, hidden, hidden} {}
};

// A whole layer over sequences: norm, qkv, rope, attention, residual, gated, back. x is changed.
void run_layer(const Backend& b, const Layer& w, View x, const std::vector<int64_t>& starts,
               AttentionSpec spec, std::span<KvView> caches) {
  Arena arena;
  const int64_t T = x.rows;
  std::vector<int32_t> positions;
  for (size_t n = 0; n + 1 < starts.size(); ++n) {
    for (int64_t r = starts[n]; r < starts[n + 1]; ++r) {
      positions.push_back(
          static_cast<int32_t>((caches.empty() ? 0 : caches[n].past) + r - starts[n]));
    }
  }
  const View normed = b.allocate(arena, T, kHidden), qkv = b.allocate(arena, T, 3 * kHidden);
  const View seen = b.allocate(arena, T, kHidden), wide = b.allocate(arena, T, kWide);
  b.layer_norm(x, w.norm, normed);
  b.linear(normed, w.qkv, Epilogue::store, Activation::identity, qkv);
  b.rope(qkv, positions, w.rope, kHeads);
  b.attention(qkv, starts, spec, kHeads, caches, seen);
  if (!caches.empty()) b.kv_append(qkv, starts, caches);
  b.layer_norm(seen, w.norm, normed);
  b.linear(normed, w.gated, Epilogue::gated, Activation::gelu, wide);
  b.linear(wide, w.back, Epilogue::add, Activation::identity, x);
}

Rows run_batch(const Backend& b, const Layer& w, const std::vector<const Rows*>& sequences,
               AttentionSpec spec) {
  Rows all;
  std::vector<int64_t> starts = {0};
  for (const Rows* s : sequences) {
    all.insert(all.end(), s->begin(), s->end());
    starts.push_back(static_cast<int64_t>(all.size()) / kHidden);
  }
  run_layer(b, w, view_of(all), starts, spec, {});
  return all;
}

bool same_bits(const float* a, const Rows& b) {
  return std::memcmp(a, b.data(), b.size() * sizeof(float)) == 0;
}

constexpr int64_t kPoolLengths[] = {1,  2,  3,  4,  5,   7,   8,   13,  14,  15,  16, 17,
                                    31, 33, 64, 65, 100, 127, 128, 129, 150, 200, 257};

void check_sub_batches(WeightFormat format) {
  std::vector<Rows> sequences;
  for (const int64_t n : kPoolLengths) {
    sequences.push_back(random_rows(100 + static_cast<uint64_t>(n), n));
  }
  const AttentionSpec specs[] = {{}, {64, 64}, {AttentionSpec::kUnlimited, 0}, {63, 0}};
  int64_t checked = 0;
  std::vector<std::vector<std::shared_ptr<const Backend>>> by_threads;
  for (const int threads : {1, 2, 3, 5}) by_threads.push_back(cpu_backends(threads, format));
  for (size_t isa = 0; isa < by_threads[0].size(); ++isa) {
    SCOPED_TRACE(by_threads[0][isa]->isa());
    const Layer layer(*by_threads[0][isa]);
    for (const AttentionSpec& spec : specs) {
      std::vector<Rows> alone;
      for (const Rows& s : sequences)
        alone.push_back(run_batch(*by_threads[0][isa], layer, {&s}, spec));
      Random random(40 + isa);
      for (int trial = 0; trial < (format == WeightFormat::f32 ? 100 : 25); ++trial) {
        const Backend& b = *by_threads[static_cast<size_t>(random.below(4))][isa];
        std::vector<size_t> picks;
        for (int64_t i = 0, n = 1 + random.below(9); i < n; ++i) {
          picks.push_back(static_cast<size_t>(random.below(std::size(kPoolLengths))));
        }
        std::vector<const Rows*> batch;
        for (const size_t p : picks) batch.push_back(&sequences[p]);
        const Rows result = run_batch(b, layer, batch, spec);
        const float* at = result.data();
        for (const size_t p : picks) {
          ASSERT_TRUE(same_bits(at, alone[p]))
              << "length " << kPoolLengths[p] << ", trial " << trial << ", " << b.threads().size()
              << " threads, batch of " << picks.size();
          at += alone[p].size();
          ++checked;
        }
      }
    }
  }
  std::printf("%lld sequences compared\n", static_cast<long long>(checked));
}

TEST(Invariance, SubBatchesOrdersAndThreads) { check_sub_batches(WeightFormat::f32); }
TEST(Invariance, SubBatchesOrdersAndThreadsInBf16) { check_sub_batches(WeightFormat::bf16); }
TEST(Invariance, SubBatchesOrdersAndThreadsInQ8) { check_sub_batches(WeightFormat::q8); }
TEST(Invariance, SubBatchesOrdersAndThreadsInQ4) { check_sub_batches(WeightFormat::q4); }
TEST(Invariance, SubBatchesOrdersAndThreadsInInt8) { check_sub_batches(WeightFormat::int8); }
TEST(Invariance, SubBatchesOrdersAndThreadsInBlocks) {
  check_sub_batches(WeightFormat::weight_only);
}

// Prefill in random chunks and one-token steps through a cache equals one causal pass.
void check_cached(WeightFormat format) {
  struct Case {
    AttentionSpec spec;
    int64_t capacity;
  };
  const Case cases[] = {{{AttentionSpec::kUnlimited, 0}, 512},
                        {{63, 0}, 64},
                        {{64, 0}, 64},
                        {{3, 0}, 4},
                        {{63, 0}, 100}};
  constexpr int64_t kLength = 300;
  for (const auto& backend : cpu_backends(2, format)) {
    SCOPED_TRACE(backend->isa());
    const Layer layer(*backend);
    for (const Case& c : cases) {
      // Two sequences side by side, so that caches of different age meet in one call.
      const Rows inputs[2] = {random_rows(900, kLength), random_rows(901, kLength)};
      Rows expected[2];
      for (int n = 0; n < 2; ++n) expected[n] = run_batch(*backend, layer, {&inputs[n]}, c.spec);
      for (uint64_t trial = 0; trial < (format == WeightFormat::f32 ? 4 : 2); ++trial) {
        Random random(500 + trial);
        std::vector<Ring> rings;
        rings.reserve(4);
        for (int i = 0; i < 4; ++i) rings.emplace_back(*backend, c.capacity);
        KvView caches[2] = {{rings[0].view, rings[1].view, 0}, {rings[2].view, rings[3].view, 0}};
        while (caches[0].past < kLength && caches[1].past < kLength) {
          Rows x;
          std::vector<int64_t> starts = {0};
          for (int n = 0; n < 2; ++n) {
            const int64_t want = random.below(3) > 0 ? 1 : 1 + random.below(70);
            const int64_t count = std::min(want, kLength - caches[n].past);
            const auto from = inputs[n].begin() + caches[n].past * kHidden;
            x.insert(x.end(), from, from + count * kHidden);
            starts.push_back(starts.back() + count);
          }
          run_layer(*backend, layer, view_of(x), starts, c.spec, caches);
          for (size_t n = 0; n < 2; ++n) {
            const int64_t count = starts[n + 1] - starts[n];
            ASSERT_EQ(std::memcmp(x.data() + starts[n] * kHidden,
                                  expected[n].data() + caches[n].past * kHidden,
                                  static_cast<size_t>(count * kHidden) * sizeof(float)),
                      0)
                << "window " << c.spec.left << ", ring of " << c.capacity << ", position "
                << caches[n].past << ", " << count << " rows";
            caches[n].past += count;
          }
        }
      }
    }
  }
}

TEST(Invariance, CachedEqualsUncached) { check_cached(WeightFormat::f32); }
TEST(Invariance, CachedEqualsUncachedInBf16) { check_cached(WeightFormat::bf16); }
TEST(Invariance, CachedEqualsUncachedInQ8) { check_cached(WeightFormat::q8); }
TEST(Invariance, CachedEqualsUncachedInQ4) { check_cached(WeightFormat::q4); }

// A query alone reads keys and values where they lie: in a ring that wraps, in the rows of the call
// (position 0), and with keys that fill no whole vector or pair. Heads of 24 are packed instead.
void check_one_query(WeightFormat format) {
  struct Case {
    AttentionSpec spec;
    int64_t capacity;
  };
  const Case cases[] = {{{AttentionSpec::kUnlimited, 0}, 300},
                        {{64, 0}, 64},
                        {{64, 0}, 65},
                        {{7, 0}, 7},
                        {{300, 0}, 307},
                        {{200, 0}, 211}};
  constexpr int64_t kLength = 300;
  for (const auto& backend : cpu_backends(1, format)) {
    SCOPED_TRACE(backend->isa());
    for (const int64_t head_dim : {64, 32, 96, 24}) {
      const int64_t heads = 2, hidden = heads * head_dim;
      Random random(static_cast<uint64_t>(700 + head_dim));
      Rows qkv(static_cast<size_t>(kLength * 3 * hidden));
      for (float& v : qkv) v = 0.5f * random.real();
      const auto rows_of = [](Rows& rows, int64_t first, int64_t count, int64_t cols) {
        return View{reinterpret_cast<std::byte*>(rows.data() + first * cols), Dtype::f32, count,
                    cols, cols};
      };
      for (const Case& c : cases) {
        Rows expected(static_cast<size_t>(kLength * hidden)), got(static_cast<size_t>(hidden));
        const std::vector<int64_t> all = {0, kLength}, one = {0, 1};
        backend->attention(rows_of(qkv, 0, kLength, 3 * hidden), all, c.spec, heads, {},
                           rows_of(expected, 0, kLength, hidden));
        const Ring keys(*backend, c.capacity, hidden), values(*backend, c.capacity, hidden);
        KvView cache = {keys.view, values.view, 0};
        for (; cache.past < kLength; ++cache.past) {
          const View row = rows_of(qkv, cache.past, 1, 3 * hidden);
          backend->attention(row, one, c.spec, heads, std::span(&cache, 1),
                             rows_of(got, 0, 1, hidden));
          backend->kv_append(row, one, std::span(&cache, 1));
          ASSERT_TRUE(same_bits(expected.data() + cache.past * hidden, got))
              << "heads of " << head_dim << ", window " << c.spec.left << ", ring of " << c.capacity
              << ", position " << cache.past;
        }
      }
    }
  }
}

TEST(Invariance, OneQueryReadsRowsWhereTheyLie) { check_one_query(WeightFormat::f32); }
TEST(Invariance, OneQueryReadsRowsWhereTheyLieInBf16) { check_one_query(WeightFormat::bf16); }

TEST(Invariance, ConcurrentCallsDoNotDisturbEachOther) {
  const auto backend = must_make({.name = "cpu", .threads = 2});
  const Layer layer(*backend);
  const Rows input = random_rows(77, 200);
  const Rows expected = run_batch(*backend, layer, {&input}, {});
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      for (int trial = 0; trial < 20; ++trial) {
        const Rows result = run_batch(*backend, layer, {&input, &input}, {});
        if (!same_bits(result.data(), expected)) ++wrong;
        if (!same_bits(result.data() + expected.size(), expected)) ++wrong;
      }
    });
  }
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace ettin
