// ../shared/data/golden/tiny: a float64 forward pass in pure Python on weights from a generator.
#include <cmath>
#include <cstdint>

#include "backend/test_backends.h"
#include "golden/golden.h"
#include "model/heads.h"
#include "model/test_models.h"

namespace ettin {
namespace {

constexpr char kFile[] = "data/golden/tiny/tiny_golden.json";

// The generator of the golden's README: FNV-1a of the name seeds a linear congruential generator.
std::vector<float> generate(std::string_view name, size_t count, double scale, double offset) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  std::vector<float> values(count);
  for (float& v : values) {
    h = h * 6364136223846793005u + 1442695040888963407u;
    v = static_cast<float>(offset + scale * (static_cast<double>(h >> 40) / 8388608.0 - 1.0));
  }
  return values;
}

ModelConfig golden_config(Arm arm) {
  ModelConfig c = test::tiny_config(arm);  // its shape is the golden's, but for the vocabulary
  c.vocab_size = 64;
  return c;
}

Network golden_network(const ModelConfig& config, std::shared_ptr<const Backend> backend) {
  test::TinyWeights weights(config);
  for (size_t i = 0; i < weights.shapes.size(); ++i) {
    const std::string& name = weights.shapes[i].first;
    double scale = 0.3, offset = 0;
    if (name.ends_with("norm.weight")) scale = 0.1, offset = 1;
    if (name.ends_with("tok_embeddings.weight")) scale = 1;
    if (name.ends_with("Wqkv.weight")) scale = 0.35;
    if (name.ends_with("attn.Wo.weight")) scale = 0.25;
    if (name == "decoder.bias") scale = 0.5;
    weights.values[i] = generate(name, weights.values[i].size(), scale, offset);
  }
  std::vector<std::string> warnings;
  auto network = build_network(config, std::move(backend),
                               TensorSource::from_tensors(weights.tensors(), nullptr, "golden"), {},
                               &warnings);
  EXPECT_TRUE(network.ok()) << network.status().to_string();
  return *std::move(network);
}

struct Result {
  std::vector<double> hidden, logits;  // [21, 32], [21, 64]
};

Result run(const Network& network, const std::vector<int32_t>& ids) {
  Batch batch;
  batch.append(ids);
  std::vector<int64_t> rows(ids.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  Arena arena;
  const View hidden = backbone_forward(network, batch, {}, arena);
  const View logits = vocab_logits(network, hidden, rows, arena);
  Result r;
  r.hidden.resize(static_cast<size_t>(hidden.rows * hidden.cols));
  r.logits.resize(static_cast<size_t>(logits.rows * logits.cols));
  network.backend->copy_to_host(hidden, std::span(r.hidden));
  network.backend->copy_to_host(logits, std::span(r.logits));
  return r;
}

void expect_close(std::span<const double> actual, std::span<const double> expected, double bound,
                  const std::string& what) {
  const Difference d = compare(actual, expected);
  EXPECT_LE(d.relative(), bound) << what << ": max |error| " << d.max_abs;
  EXPECT_EQ(d.non_finite, 0) << what;
}

class TinyGolden : public testing::TestWithParam<Arm> {};
INSTANTIATE_TEST_SUITE_P(BothArms, TinyGolden, testing::Values(kEncoder, kDecoder),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(TinyGolden, EveryBackendAgrees) {
  ETTIN_NEED_SHARED(kFile);
  const Json file = test::must_read_json(std::string(ETTIN_SHARED_DIR "/") + kFile);
  const Json& expected = file[std::string(GetParam().name)];
  const auto ids = file["ids"].get<std::vector<int32_t>>();
  const ModelConfig config = golden_config(GetParam());

  std::vector<std::shared_ptr<const Backend>> backends = cpu_backends(2);
  backends.push_back(must_make({.name = "ref", .threads = 1}));
  backends.push_back(must_make({.name = "ref", .format = WeightFormat::f64, .threads = 2}));
  for (const auto& backend : backends) {
    const double bound = test::golden_bound(backend->activation_dtype());
    SCOPED_TRACE(fmt::format("{} {} {}", backend->name(), backend->isa(),
                             dtype_name(backend->activation_dtype())));
    const Result r = run(golden_network(config, backend), ids);
    for (const int row : {0, 10, 20}) {
      expect_close(std::span(r.hidden).subspan(static_cast<size_t>(row) * 32, 32),
                   test::to_doubles(expected[fmt::format("hidden_{}", row)]), bound, "hidden");
    }
    for (const int row : {0, 20}) {
      expect_close(std::span(r.logits).subspan(static_cast<size_t>(row) * 64, 64),
                   test::to_doubles(expected[fmt::format("logits_{}", row)]), bound, "logits");
    }
    double hidden_sum = 0, logits_sum = 0;
    for (const double v : r.hidden) hidden_sum += std::abs(v);
    for (const double v : r.logits) logits_sum += std::abs(v);
    const double hidden_expected = expected["hidden_abs_sum"],
                 logits_expected = expected["logits_abs_sum"];
    EXPECT_NEAR(hidden_sum, hidden_expected, bound * hidden_expected);
    EXPECT_NEAR(logits_sum, logits_expected, bound * logits_expected);
    for (size_t t = 0; t < ids.size(); ++t) {
      const auto first = r.logits.begin() + static_cast<std::ptrdiff_t>(t * 64);
      EXPECT_EQ(std::max_element(first, first + 64) - first, expected["argmax"][t].get<int64_t>());
    }
  }
}

// The bound above tells the typical mistakes of ports from rounding: each lands where the golden
// says it does, far outside.
TEST(TinyGolden, TypicalMistakesAreFarOutside) {
  ETTIN_NEED_SHARED(kFile);
  const Json file = test::must_read_json(std::string(ETTIN_SHARED_DIR "/") + kFile);
  const auto ids = file["ids"].get<std::vector<int32_t>>();
  const auto backend = must_make({.name = "ref", .format = WeightFormat::f64, .threads = 1});
  const auto distance = [&](Arm arm, bool logits, auto change) {
    const ModelConfig right = golden_config(arm);
    ModelConfig wrong = right;
    change(&wrong);
    const Result a = run(golden_network(right, backend), ids);
    const Result b = run(golden_network(wrong, backend), ids);
    return logits ? compare(std::span<const double>(b.logits), a.logits).max_abs
                  : compare(std::span<const double>(b.hidden), a.hidden).max_abs;
  };
  const Json& sizes = file["mistake_sizes_encoder_hidden_max_abs"];
  EXPECT_NEAR(distance(kEncoder, false, [](ModelConfig* c) { c->window_each_side = 3; }),
              sizes["window_minus_1"].get<double>(), 1e-9);
  EXPECT_NEAR(distance(kEncoder, false, [](ModelConfig* c) { c->local_rope_theta = 160000; }),
              sizes["local_theta_160000"].get<double>(), 1e-9);
  EXPECT_NEAR(distance(kDecoder, true, [](ModelConfig* c) { c->causal_window_keys = 5; }),
              file["decoder_window_plus_1_logits_max_abs"].get<double>(), 1e-9);
  EXPECT_NEAR(
      distance(kEncoder, false, [](ModelConfig* c) { c->activation = Activation::gelu_tanh; }),
      sizes["tanh_gelu"].get<double>(), 1e-9);
}

}  // namespace
}  // namespace ettin
