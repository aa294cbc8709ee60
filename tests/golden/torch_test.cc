// ../shared/data/golden/torch: a tiny pair in PyTorch float64, all lengths, cached and uncached
// decoding, greedy continuations. Weights are stored as F16 (encoder) and BF16 (decoder).
#include <cstdio>
#include <fstream>

#include "backend/test_backends.h"
#include "formats/safetensors.h"
#include "golden/golden.h"
#include "model/heads.h"
#include "model/kv_cache.h"
#include "model/load.h"

namespace ettin {
namespace {

constexpr char kFolder[] = ETTIN_SHARED_DIR "/data/golden/torch";
constexpr char kForward[] = "data/golden/torch/forward.json";

struct Golden {
  Json json = test::must_read_json(std::string(kFolder) + "/forward.json");
  MappedFile file = *MappedFile::open(std::string(kFolder) + "/forward.safetensors");
  SafetensorsFile tensors = *parse_safetensors(file.bytes(), "forward.safetensors");

  std::vector<double> values(const std::string& name) const {
    for (const StoredTensor& t : tensors.tensors) {
      if (t.name != name) continue;
      std::vector<double> v(t.element_count());
      read_elements(t, 0, std::span(v));
      return v;
    }
    ADD_FAILURE() << "no golden tensor " << name;
    return {};
  }
};

struct Variant {
  Arm arm;
  const char* theta;  // part of the golden's names
  const char* config_file;
};

constexpr Variant kVariants[] = {
    {kEncoder, "theta10000", "config.json"},
    {kEncoder, "theta160000", "config.theta160000.json"},
    {kDecoder, "theta10000", "config.json"},
    {kDecoder, "theta160000", "config.theta160000.json"},
};

Network load(const Variant& v, std::shared_ptr<const Backend> backend) {
  const std::string directory = fmt::format("{}/tiny-{}", kFolder, v.arm.name);
  std::vector<std::string> warnings;
  const Json json = test::must_read_json(directory + "/" + v.config_file);
  ModelConfig config = *resolve_config(*parse_hf_config(json, v.config_file), &warnings);
  EXPECT_EQ(config.arm, v.arm);
  auto network = build_network(std::move(config), std::move(backend),
                               *TensorSource::open(directory), {}, &warnings);
  EXPECT_TRUE(network.ok()) << network.status().to_string();
  EXPECT_TRUE(warnings.empty()) << warnings[0];
  return *std::move(network);
}

std::vector<std::shared_ptr<const Backend>> all_backends() {
  std::vector<std::shared_ptr<const Backend>> backends = cpu_backends(2);
  backends.push_back(must_make({.name = "ref", .threads = 2}));
  backends.push_back(must_make({.name = "ref", .format = WeightFormat::f64, .threads = 2}));
  return backends;
}

std::vector<double> to_host(const Backend& backend, ConstView v) {
  std::vector<double> out(static_cast<size_t>(v.rows * v.cols));
  backend.copy_to_host(v, std::span(out));
  return out;
}

// Remembers the largest error of a run, to be printed once.
struct Worst {
  double bound;
  double relative = 0;

  void check(std::span<const double> actual, std::span<const double> expected,
             const std::string& what) {
    ASSERT_EQ(actual.size(), expected.size()) << what;
    const Difference d = compare(actual, expected);
    relative = std::max(relative, d.relative());
    EXPECT_LE(d.relative(), bound) << what << ": max |error| " << d.max_abs;
    EXPECT_EQ(d.non_finite, 0) << what;
  }
};

std::vector<double> chosen_rows(std::span<const double> rows, std::span<const int64_t> which,
                                int64_t cols) {
  std::vector<double> out;
  for (const int64_t r : which) {
    const auto row = rows.subspan(static_cast<size_t>(r * cols), static_cast<size_t>(cols));
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

TEST(TorchGolden, ForwardOfEveryLength) {
  ETTIN_NEED_SHARED(kForward);
  const Golden golden;
  for (const auto& backend : all_backends()) {
    Worst worst{test::golden_bound(backend->activation_dtype())};
    for (const Variant& v : kVariants) {
      const std::string name = fmt::format("{}.{}", v.arm.name, v.theta);
      SCOPED_TRACE(fmt::format("{} on {} {}", name, backend->name(), backend->isa()));
      const Network network = load(v, backend);
      const int64_t H = network.config.hidden_size;
      // All five sequences in one ragged batch.
      Batch batch;
      std::vector<int64_t> wanted;
      const Json& ids = golden.json[fmt::format("{}_ids", v.arm.name)];
      for (size_t n = 0; n < 5; ++n) {
        const int64_t start = batch.append(ids[n].get<std::vector<int32_t>>());
        for (const int64_t r : golden.json["logit_rows"][n].get<std::vector<int64_t>>()) {
          wanted.push_back(start + r);
        }
      }
      std::vector<std::vector<double>> residuals;
      Arena arena;
      const View hidden =
          backbone_forward(network, batch, {}, arena, [&](int64_t, ConstView residual) {
            residuals.push_back(to_host(
                *backend, residual.slice_rows(batch.starts[2], batch.starts[3] - batch.starts[2])));
          });
      const std::vector<double> logits =
          to_host(*backend, vocab_logits(network, hidden, wanted, arena));
      size_t at = 0;
      for (size_t n = 0; n < 5; ++n) {
        const auto rows = golden.json["logit_rows"][n].get<std::vector<int64_t>>();
        std::vector<double> own = to_host(
            *backend, hidden.slice_rows(batch.starts[n], batch.starts[n + 1] - batch.starts[n]));
        if (std::string_view(v.theta) == "theta160000") own = chosen_rows(own, rows, H);
        worst.check(own, golden.values(fmt::format("{}.hidden.{}", name, n)), "hidden");
        const size_t count = rows.size() * 512;
        worst.check(std::span(logits).subspan(at, count),
                    golden.values(fmt::format("{}.logits.{}", name, n)), "logits");
        at += count;
      }
      if (std::string_view(v.theta) == "theta160000") continue;
      for (size_t i = 0; i < residuals.size(); ++i) {
        worst.check(residuals[i], golden.values(fmt::format("{}.residual.2.{}", name, i)),
                    fmt::format("residual after layer {}", i));
      }
    }
    std::printf("%s %s %s: largest relative error %.2e\n", std::string(backend->name()).c_str(),
                std::string(backend->isa()).c_str(),
                std::string(dtype_name(backend->activation_dtype())).c_str(), worst.relative);
  }
}

// 65-key training convention of the published decoders, in small: 9 keys instead of 8.
TEST(TorchGolden, OneMoreCausalKey) {
  ETTIN_NEED_SHARED(kForward);
  const Golden golden;
  const auto backend = must_make({.name = "cpu", .threads = 1});
  Network network = load(kVariants[2], backend);
  network.config.causal_window_keys = 9;
  Batch batch;
  batch.append(golden.json["decoder_ids"][4].get<std::vector<int32_t>>());
  const auto rows = golden.json["logit_rows"][4].get<std::vector<int64_t>>();
  Arena arena;
  const View hidden = backbone_forward(network, batch, {}, arena);
  Worst worst{1e-5};
  worst.check(to_host(*backend, vocab_logits(network, hidden, rows, arena)),
              golden.values("decoder.theta10000.window9.logits.4"), "logits with 9 keys");
}

TEST(TorchGolden, CachedDecoding) {
  ETTIN_NEED_SHARED(kForward);
  const Golden golden;
  const auto ids = golden.json["decoder_ids"][4].get<std::vector<int32_t>>();
  const std::vector<double> expected = golden.values("decoder.theta10000.steps.logits");
  for (const auto& backend : all_backends()) {
    SCOPED_TRACE(fmt::format("{} {}", backend->name(), backend->isa()));
    const Network network = load(kVariants[2], backend);
    KvCache cache(network.config, backend->cache_dtype());
    KvCache* const caches[] = {&cache};
    Worst worst{test::golden_bound(backend->activation_dtype())};
    for (size_t step = 0; step <= 40; ++step) {
      const auto next = step == 0 ? std::span(ids).first(60) : std::span(ids).subspan(59 + step, 1);
      Batch batch;
      batch.append(next, cache.past());
      Arena arena;
      const View hidden = backbone_forward(network, batch, caches, arena);
      const int64_t last[] = {batch.tokens() - 1};
      worst.check(to_host(*backend, vocab_logits(network, hidden, last, arena)),
                  std::span(expected).subspan(step * 512, 512), fmt::format("step {}", step));
    }
  }
}

// Two prompts of different lengths decoded together.
TEST(TorchGolden, GreedyContinuations) {
  ETTIN_NEED_SHARED(kForward);
  const Golden golden;
  for (const auto& backend : all_backends()) {
    SCOPED_TRACE(fmt::format("{} {}", backend->name(), backend->isa()));
    const Network network = load(kVariants[2], backend);
    std::vector<KvCache> caches;
    std::vector<std::vector<int32_t>> pending, answers(2);
    for (const Json& g : golden.json["greedy"]) {
      caches.emplace_back(network.config, backend->cache_dtype());
      pending.push_back(g["prompt"].get<std::vector<int32_t>>());
    }
    KvCache* const both[] = {&caches[0], &caches[1]};
    for (size_t step = 0; step < 24; ++step) {
      Batch batch;
      std::vector<int64_t> last;
      for (size_t n = 0; n < 2; ++n) {
        batch.append(pending[n], caches[n].past());
        last.push_back(batch.tokens() - 1);
      }
      Arena arena;
      const View hidden = backbone_forward(network, batch, both, arena);
      const View logits = vocab_logits(network, hidden, last, arena);
      std::vector<TokenLogit> best(2);
      std::vector<double> normalizer(2);
      backend->top_k(logits, 1, best);
      backend->log_sum_exp(logits, normalizer);
      for (size_t n = 0; n < 2; ++n) {
        answers[n].push_back(best[n].id);
        pending[n].assign(1, best[n].id);
        EXPECT_NEAR(best[n].logit - normalizer[n],
                    golden.json["greedy"][n]["logprob"][step].get<double>(), 1e-4);
      }
    }
    for (size_t n = 0; n < 2; ++n) {
      EXPECT_EQ(answers[n], golden.json["greedy"][n]["new_ids"].get<std::vector<int32_t>>());
    }
  }
}

}  // namespace
}  // namespace ettin
