// 25 steps of training against PyTorch (../shared/data/golden/torch/training.json): warm-up,
// stable, a second phase with 1-sqrt decay; StableAdamW.
#include <cstdio>

#include "backend/test_backends.h"
#include "golden/training_golden.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace ettin {
namespace {

// The optimiser and the two phases that the golden states.
struct Golden {
  Json json = test::must_read_json(std::string(test::kTorchFolder) + "/training.json");
  OptimizerRecipe optimizer;
  PhaseRecipe first, second;
  int64_t first_steps = json["phase1_steps"].get<int64_t>();

  explicit Golden(const std::string& size) {
    optimizer.learning_rate = json["peak_lr"].get<double>();
    optimizer.weight_decay = json["weight_decay"].get<double>();
    optimizer.beta1 = json["betas"][0].get<double>();
    optimizer.beta2 = json["betas"][1].get<double>();
    optimizer.eps = json["eps"].get<double>();
    first.learning_rate = second.learning_rate = optimizer.learning_rate;
    first.tokens = int64_t{1} << 40;
    first.schedule.warmup_tokens = json["warmup_tokens"].get<int64_t>();
    second.tokens = second.schedule.decay_tokens = json[size]["phase2_tokens"].get<int64_t>();
    second.schedule.decay = ScheduleKind::one_minus_sqrt;
    second.schedule.final_factor = json["alpha"].get<double>();
  }
};

struct Worst {
  double loss = 0, weights = 0;
};

Worst follow(const std::string& model, const std::shared_ptr<const Backend>& backend) {
  const std::string size = model.substr(0, model.find('-'));
  const bool decoder = model.ends_with("decoder");
  const Golden golden(size);
  const Dtype dtype = backend->activation_dtype();
  const ModelConfig config = test::torch_config(model);
  TrainedNetwork trained =
      make_trained_network(config, backend, test::torch_parameters(model, dtype));
  GradientPass pass(config, dtype);
  Parameters m = make_parameters(config, dtype), v = make_parameters(config, dtype);
  const std::vector<OptimizedTensor> tensors =
      optimized_tensors(config, &trained.values, pass.gradients(), &m, &v);

  const Json& run = golden.json["runs"][model];
  const Json& data = golden.json[size];
  Worst worst;
  int64_t tokens = 0;
  for (int64_t k = 0; k < 25; ++k) {
    const auto step = static_cast<size_t>(k);
    if (k == golden.first_steps) tokens = 0;
    const PhaseRecipe& phase = k < golden.first_steps ? golden.first : golden.second;
    const double rate = learning_rate_at(phase, tokens);
    EXPECT_NEAR(rate, data["lr"][step].get<double>(), 1e-15);
    const Json& batch = data["batches"][step];
    const Microbatch microbatch = test::token_mean(
        decoder ? test::clm_batch(batch["ids"])
                : test::labelled_batch(batch["mlm_inputs"], batch["mlm_labels"], 0));
    EXPECT_EQ(microbatch.data.batch.tokens(), data["tokens"][step].get<int64_t>());
    const double loss = pass.run(trained, std::span(&microbatch, 1), {});
    const double expected = run["loss_f64"][step].get<double>();
    worst.loss = std::max(worst.loss, std::abs(loss - expected) / expected);
    optimizer_step(dtype, golden.optimizer,
                   {.number = k + 1, .learning_rate = rate, .peak = golden.optimizer.learning_rate},
                   tensors, backend->threads());
    trained.repack();
    tokens += microbatch.data.batch.tokens();
  }
  const auto weights = test::by_name(config, trained.values);
  worst.weights = test::worst_digest_error(weights, run["final_digests_f64"]);
  return worst;
}

void check(const std::shared_ptr<const Backend>& backend, double loss, double weights) {
  for (const char* model : {"micro-encoder", "micro-decoder", "tiny-encoder", "tiny-decoder"}) {
    const Worst worst = follow(model, backend);
    std::printf("%s on %s %s: loss %.1e, weights %.1e\n", model,
                std::string(backend->name()).c_str(),
                std::string(format_name(backend->format())).c_str(), worst.loss, worst.weights);
    EXPECT_LE(worst.loss, loss) << model;
    EXPECT_LE(worst.weights, weights) << model;
  }
}

TEST(Trajectory, RefInDouble) {
  ETTIN_NEED_SHARED(test::kTraining);
  check(must_make({.name = "ref", .format = WeightFormat::f64}), 1e-10, 1e-10);
}

TEST(Trajectory, CpuInFp32) {
  ETTIN_NEED_SHARED(test::kTraining);
  check(must_make({.name = "cpu", .threads = 2}), 1e-5, 1e-4);
}

// Where bf16 gradients point is off by some 1e-2 of their length, and 25 steps move weights by a
// tenth of theirs.
TEST(Trajectory, CpuInBf16) {
  ETTIN_NEED_SHARED(test::kTraining);
  check(must_make({.name = "cpu", .format = WeightFormat::bf16, .threads = 2}), 1e-2, 1e-2);
}

}  // namespace
}  // namespace ettin
