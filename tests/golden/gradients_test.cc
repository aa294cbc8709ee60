// Losses and every gradient of the whole network against PyTorch in float64
// (../shared/data/golden/torch).
#include <cstdio>

#include "backend/test_backends.h"
#include "golden/training_golden.h"

namespace ettin {
namespace {

using test::by_name;

struct Case {
  std::string name;  // key of gradients.json
  std::string model;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = [] {
    std::vector<Case> all;
    for (const char* size : {"micro", "tiny"}) {
      const std::string s = size;
      all.push_back({s + ".encoder-mlm", s + "-encoder"});
      all.push_back({s + ".encoder-mntp", s + "-encoder"});
      all.push_back({s + ".decoder-clm", s + "-decoder"});
    }
    return all;
  }();
  return kCases;
}

std::vector<Microbatch> step_of(const std::string& name, const Json& golden) {
  std::vector<Microbatch> step;
  if (golden.contains("documents")) {
    step.push_back(test::token_mean(test::clm_batch(golden["documents"])));
  } else {
    const int64_t shift = name.ends_with("mntp") ? -1 : 0;
    step.push_back(test::token_mean(test::labelled_batch(golden["ids"], golden["labels"], shift)));
  }
  return step;
}

// Bounds on the loss and on the digests of gradients, relative to the tensor's norm.
struct Bound {
  double loss, gradient;
};

void check(const std::shared_ptr<const Backend>& backend, Bound bound, bool recompute) {
  SCOPED_TRACE(
      fmt::format("{} {} {}", backend->name(), backend->isa(), format_name(backend->format())));
  const Json golden = test::must_read_json(std::string(test::kTorchFolder) + "/gradients.json");
  double worst_loss = 0, worst = 0;
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const Json& expected = golden[c.name];
    const ModelConfig config = test::torch_config(c.model);
    const TrainedNetwork trained = make_trained_network(
        config, backend, test::torch_parameters(c.model, backend->activation_dtype()));
    GradientPass pass(config, backend->activation_dtype());
    const std::vector<Microbatch> step = step_of(c.name, expected);
    const double loss = pass.run(trained, step, {.recompute = recompute});
    EXPECT_DOUBLE_EQ(pass.evaluate(trained, step).loss, loss);
    const double wanted = expected["loss"].get<double>();
    worst_loss = std::max(worst_loss, std::abs(loss - wanted) / wanted);
    const auto gradients = by_name(config, pass.gradients());
    worst = std::max(worst, test::worst_digest_error(gradients, expected["digests"]));
    // All elements, where the golden stores them.
    const std::string file =
        fmt::format("{}/{}-grad-{}.safetensors", test::kTorchFolder,
                    c.name.substr(0, c.name.find('.')), c.name.substr(c.name.find('.') + 1));
    if (!file_exists(file)) continue;
    const MappedFile mapped = *MappedFile::open(file);
    const SafetensorsFile stored = *parse_safetensors(mapped.bytes(), file);
    for (const StoredTensor& t : stored.tensors) {
      std::vector<double> v(t.element_count());
      read_elements(t, 0, std::span(v));
      const auto found = gradients.find(t.name);
      ASSERT_NE(found, gradients.end()) << t.name;
      ASSERT_EQ(found->second.size(), v.size()) << t.name;
      double error = 0, norm = 0;
      for (size_t i = 0; i < v.size(); ++i) {
        error += std::pow(found->second[i] - v[i], 2);
        norm += v[i] * v[i];
      }
      worst = std::max(worst, std::sqrt(error / norm));
    }
  }
  std::printf("%s %s %s: loss %.1e, gradients %.1e\n", std::string(backend->name()).c_str(),
              std::string(backend->isa()).c_str(),
              std::string(format_name(backend->format())).c_str(), worst_loss, worst);
  EXPECT_LE(worst_loss, bound.loss);
  EXPECT_LE(worst, bound.gradient);
}

constexpr Bound kDouble = {1e-12, 1e-10}, kFloat = {1e-5, 1e-4};
// Every operand of a product is rounded to 8 bits of mantissa, 2^-9 of it at most; some twenty
// products follow each other on the way to the first layer's gradient.
constexpr Bound kBf16 = {5e-3, 5e-2};

TEST(Gradients, RefInDouble) {
  ETTIN_NEED_SHARED(test::kGradients);
  check(must_make({.name = "ref", .format = WeightFormat::f64}), kDouble, false);
}

TEST(Gradients, RefInDoubleRecomputed) {
  ETTIN_NEED_SHARED(test::kGradients);
  check(must_make({.name = "ref", .format = WeightFormat::f64}), kDouble, true);
}

TEST(Gradients, CpuOnEveryInstructionSet) {
  ETTIN_NEED_SHARED(test::kGradients);
  for (const auto& backend : cpu_backends(2)) check(backend, kFloat, false);
}

TEST(Gradients, CpuInBf16) {
  ETTIN_NEED_SHARED(test::kGradients);
  for (const auto& backend : cpu_backends(2, WeightFormat::bf16)) check(backend, kBf16, true);
}

// Microbatches sum up to one batch, and the original's mean of means is its formula.
TEST(Gradients, Microbatches) {
  ETTIN_NEED_SHARED(test::kGradients);
  const Json golden = test::must_read_json(std::string(test::kTorchFolder) + "/gradients.json");
  const auto backend = must_make({.name = "ref", .format = WeightFormat::f64});
  for (const std::string size : {"micro", "tiny"}) {
    const Json &whole = golden[size + ".encoder-mlm"], &parts = golden[size + ".microbatches"];
    const std::string model = size + "-encoder";
    const ModelConfig config = test::torch_config(model);
    const TrainedNetwork trained =
        make_trained_network(config, backend, test::torch_parameters(model, Dtype::f64));
    GradientPass pass(config, Dtype::f64);
    std::vector<Microbatch> step;
    double targets = 0;
    for (const auto& [first, last] : {std::pair{0, 3}, std::pair{3, 5}}) {
      step.push_back({test::labelled_batch(whole["ids"], whole["labels"], 0,
                                           static_cast<size_t>(first), static_cast<size_t>(last)),
                      0});
      targets += static_cast<double>(step.back().data.targets.ids.size());
    }
    for (Microbatch& m : step) m.scale = 1 / targets;
    EXPECT_NEAR(pass.run(trained, step, {}), parts["token_mean"].get<double>(), 1e-11);
    EXPECT_LE(test::worst_digest_error(by_name(config, pass.gradients()), whole["digests"]), 1e-10);

    for (Microbatch& m : step) {
      m.scale = static_cast<double>(m.data.batch.sequences()) / 5 /
                static_cast<double>(m.data.targets.ids.size());
    }
    EXPECT_NEAR(pass.run(trained, step, {}), parts["microbatch_mean"].get<double>(), 1e-11);
    EXPECT_LE(test::worst_digest_error(by_name(config, pass.gradients()),
                                       parts["microbatch_mean_digests"]),
              1e-10);
  }
}

}  // namespace
}  // namespace ettin
