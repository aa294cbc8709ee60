#include "bench_train.h"

#include <chrono>
#include <utility>

#include "train/gradient_pass.h"
#include "train/init_weights.h"
#include "train/optimizer.h"

namespace ettin::cli {

struct TrainingBench::State {
  State(const ModelConfig& config, std::shared_ptr<const Backend> b, Parameters values)
      : backend(std::move(b)),
        trained(make_trained_network(config, backend, std::move(values))),
        pass(config, backend->activation_dtype()),
        moment1(make_parameters(config, backend->activation_dtype())),
        moment2(make_parameters(config, backend->activation_dtype())) {}

  std::shared_ptr<const Backend> backend;
  TrainedNetwork trained;
  GradientPass pass;
  Parameters moment1, moment2;
  std::vector<OptimizedTensor> tensors;
  std::vector<Microbatch> step;
  int64_t steps = 0;
  double loss = 0;
};

TrainingBench::TrainingBench(std::unique_ptr<State> state) : state_(std::move(state)) {}
TrainingBench::TrainingBench(TrainingBench&&) noexcept = default;
TrainingBench::~TrainingBench() = default;

Result<TrainingBench> TrainingBench::make(const TrainingBenchOptions& options, const BenchCase& c) {
  ETTIN_ASSIGN_OR_RETURN(const ModelConfig config, published_config(options.size, options.arm));
  ETTIN_ASSIGN_OR_RETURN(
      std::shared_ptr<const Backend> backend,
      make_backend(
          {.name = options.backend, .format = options.format, .threads = options.threads}));
  if (backend->gradients() == nullptr) {
    return Status(StatusCode::unsupported,
                  std::string("training computes in fp32 or bf16, not in ") +
                      std::string(format_name(options.format)),
                  "add --dtype bf16");
  }
  Parameters values = make_parameters(config, backend->activation_dtype());
  init_weights(config, 1, backend->threads(), &values);
  auto state = std::make_unique<State>(config, backend, std::move(values));
  State& s = *state;
  s.tensors =
      optimized_tensors(config, &s.trained.values, s.pass.gradients(), &s.moment1, &s.moment2);
  ObjectiveRule rule;
  rule.objective = options.arm.objective;
  rule.masking.rate = 0.3;
  rule.masking.vocab_size = config.vocab_size;
  rule.masking.special.mask = static_cast<int32_t>(config.vocab_size - 1);
  Microbatch m;
  for (size_t i = 0; i < c.lengths.size(); ++i) {
    const auto sequence = static_cast<int64_t>(i);
    append_sequence(rule, {1, 0, 0, sequence},
                    bench_sequence(sequence, c.lengths[i], config.vocab_size), &m.data);
  }
  m.scale = 1 / static_cast<double>(m.data.targets.ids.size());
  s.step.push_back(std::move(m));
  return TrainingBench(std::move(state));
}

double TrainingBench::step_ms() {
  State& s = *state_;
  const auto start = std::chrono::steady_clock::now();
  s.loss = s.pass.run(s.trained, s.step, {});
  const double norm = gradient_norm(s.backend->activation_dtype(), s.tensors, s.backend->threads());
  OptimizerRecipe recipe;
  recipe.learning_rate = 1e-4;
  recipe.weight_decay = 1e-5;
  optimizer_step(s.backend->activation_dtype(), recipe,
                 {.number = ++s.steps,
                  .learning_rate = recipe.learning_rate,
                  .peak = recipe.learning_rate,
                  .gradient_scale = clip_factor(recipe, norm)},
                 s.tensors, s.backend->threads());
  s.trained.repack();
  const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
  return passed.count();
}

double TrainingBench::loss() const { return state_->loss; }
int64_t TrainingBench::targets() const {
  return static_cast<int64_t>(state_->step[0].data.targets.ids.size());
}
size_t TrainingBench::activation_bytes() const { return state_->pass.activation_bytes(); }
const ModelConfig& TrainingBench::config() const { return state_->trained.network.config; }
const Backend& TrainingBench::backend() const { return *state_->backend; }

}  // namespace ettin::cli
