#include "train/trainer.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/float_mode.h"
#include "base/hash.h"
#include "formats/tensor_source.h"
#include "model/read_parameters.h"
#include "text/tokenizer.h"
#include "train/check_data.h"
#include "train/checkpoint.h"
#include "train/data_log.h"
#include "train/gradient_pass.h"
#include "train/init_weights.h"
#include "train/optimizer.h"
#include "train/phase_data.h"
#include "train/run_folder.h"
#include "train/schedule.h"
#include "train/spikes.h"
#include "train/validation.h"

namespace ettin {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr size_t kMostTokenizerBytes = size_t{256} << 20;

Result<std::string> tokenizer_identity(const std::string& folder) {
  ETTIN_ASSIGN_OR_RETURN(const std::string text,
                         read_file(join_path(folder, "tokenizer.json"), kMostTokenizerBytes));
  return sha256_hex(std::as_bytes(std::span(text)));
}

Status read_initial_weights(const std::string& folder, const ModelConfig& config,
                            Parameters* values, std::vector<std::string>* warnings) {
  ETTIN_ASSIGN_OR_RETURN(const TensorSource source, TensorSource::open(folder));
  return read_parameters(config, source, {}, values, warnings).with_context("init_from");
}

class Trainer {
 public:
  Trainer(const Recipe& recipe, const TrainOptions& options, TrainObserver& observer)
      : recipe_(arm_recipe(recipe, options.arm)),
        whole_recipe_(recipe),
        identity_{options.arm, recipe.identity()},
        options_(options),
        observer_(observer) {}

  Result<TrainOutcome> run();

 private:
  Status prepare();
  Status prepare_data();
  Status prepare_weights();
  Status run_phase();
  Status run_step(const StepData& data, Clock::time_point start, double waited);
  Status update(StepMetrics* m);
  Status validate();
  Status save();
  void begin_next_phase();

  size_t phase_number() const { return static_cast<size_t>(state_.phase); }
  const PhaseRecipe& phase() const { return recipe_.phases[phase_number()]; }
  PhaseData& data() { return data_[phase_number()]; }
  Parameters& values() { return trained_->values; }
  TrainTensors tensors() { return {values(), moment1_, moment2_}; }
  bool phase_is_done() const { return state_.phase_tokens >= phase().tokens; }
  bool wants_stop() {
    return observer_.wants_stop() ||
           (options_.stop_at_step > 0 && state_.step >= options_.stop_at_step);
  }

  const Recipe recipe_;         // as this arm trains it
  const Recipe& whole_recipe_;  // of the pair: what is stored and what runs are told apart by
  const CheckpointIdentity identity_;
  const TrainOptions& options_;
  TrainObserver& observer_;

  std::shared_ptr<const Backend> backend_;
  ObjectiveRule rule_;
  SequenceEnds ends_;
  std::vector<PhaseData> data_;  // of every phase
  std::optional<RunFolder> folder_;
  std::optional<DataLog> data_log_;
  std::optional<MetricsLog> metrics_;
  std::optional<TrainedNetwork> trained_;
  std::unique_ptr<GradientPass> pass_;
  Parameters moment1_, moment2_;
  std::vector<OptimizedTensor> optimized_;
  std::optional<ValidationSet> validation_;
  TrainState state_;
  std::string checkpoint_;
  bool stopped_ = false;
};

Status Trainer::prepare() {
  ETTIN_ASSIGN_OR_RETURN(backend_, make_backend({.name = options_.backend,
                                                 .format = recipe_.dtype,
                                                 .threads = options_.threads}));
  if (backend_->gradients() == nullptr) {
    return Status(StatusCode::unsupported,
                  fmt::format("dtype: the {} backend cannot train in {}", options_.backend,
                              format_name(recipe_.dtype)),
                  "set dtype to fp32 or bf16");
  }
  ETTIN_RETURN_IF_ERROR(check_inputs(recipe_, options_.arm));
  ETTIN_RETURN_IF_ERROR(prepare_data());
  return prepare_weights();
}

Status Trainer::prepare_data() {
  ETTIN_ASSIGN_OR_RETURN(const std::shared_ptr<const Tokenizer> tokenizer,
                         Tokenizer::load(recipe_.tokenizer));
  ETTIN_ASSIGN_OR_RETURN(rule_, objective_rule(recipe_, options_.arm, *tokenizer));
  ends_ = sequence_ends(*tokenizer);
  for (size_t p = 0; p < recipe_.phases.size(); ++p) {
    Result<PhaseData> opened = PhaseData::open(recipe_, static_cast<int64_t>(p), rule_, ends_);
    if (!opened.ok()) return opened.status();
    data_.push_back(*std::move(opened));
  }
  ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> unread, check_data(recipe_));
  for (const std::string& note : unread) observer_.note(note);
  RunIdentity run{std::string(options_.arm.name), identity_.recipe_hash, "", {}};
  ETTIN_ASSIGN_OR_RETURN(run.tokenizer, tokenizer_identity(recipe_.tokenizer));
  for (size_t p = 0; p < data_.size(); ++p) {
    run.data.push_back({recipe_.phases[p].name, data_[p].identity()});
  }
  ETTIN_ASSIGN_OR_RETURN(RunFolder folder,
                         RunFolder::open(options_.run_folder, run, whole_recipe_.to_yaml()));
  folder_.emplace(std::move(folder));
  return Status();
}

Status Trainer::prepare_weights() {
  const ModelConfig config = phase_model(recipe_, 0, options_.arm);
  Parameters values = make_parameters(config, backend_->activation_dtype());
  moment1_ = make_parameters(config, backend_->activation_dtype());
  moment2_ = make_parameters(config, backend_->activation_dtype());

  std::vector<std::string> warnings;
  TrainTensors all{values, moment1_, moment2_};
  ETTIN_ASSIGN_OR_RETURN(
      const std::optional<FoundCheckpoint> resumed,
      resume_from_newest(folder_->checkpoints(), config, identity_, &state_, &all, &warnings));
  if (resumed) {
    checkpoint_ = resumed->path;
    observer_.note(fmt::format("going on from {}, step {}", resumed->path, state_.step));
  } else if (!recipe_.init_from.empty()) {
    ETTIN_RETURN_IF_ERROR(read_initial_weights(recipe_.init_from, config, &values, &warnings));
  } else {
    init_weights(config, recipe_.seed, backend_->threads(), &values);
  }
  for (const std::string& warning : warnings) observer_.note(warning);

  ETTIN_ASSIGN_OR_RETURN(DataLog log,
                         DataLog::open(options_.run_folder, state_.step, state_.data_chain));
  data_log_.emplace(std::move(log));
  ETTIN_ASSIGN_OR_RETURN(MetricsLog metrics, MetricsLog::open(options_.run_folder, state_.step));
  metrics_.emplace(std::move(metrics));

  pass_ = std::make_unique<GradientPass>(config, backend_->activation_dtype());
  trained_.emplace(make_trained_network(config, backend_, std::move(values)));
  optimized_ =
      optimized_tensors(config, &trained_->values, pass_->gradients(), &moment1_, &moment2_);
  return Status();
}

Status Trainer::run_phase() {
  trained_->set_config(phase_model(recipe_, phase_number(), options_.arm));
  if (!recipe_.validation.data.empty()) {
    ETTIN_ASSIGN_OR_RETURN(ValidationSet set,
                           ValidationSet::open(recipe_, state_.phase, rule_, ends_));
    validation_.emplace(std::move(set));
  }
  // The next step is made ready while this one computes.
  const auto prepare = [this](int64_t cursor, int64_t phase_tokens) {
    return std::async(std::launch::async, [this, cursor, phase_tokens] {
      return data().step(cursor, batch_sequences_at(phase(), phase_tokens));
    });
  };
  std::future<Result<StepData>> next = prepare(state_.phase_sequences, state_.phase_tokens);
  while (!phase_is_done() && !stopped_) {
    const Clock::time_point start = Clock::now();
    Result<StepData> step = next.get();
    if (!step.ok()) return step.status();
    const double waited = seconds_since(start);
    const int64_t tokens_before = state_.phase_tokens, tokens = tokens_before + step->tokens;
    if (tokens < phase().tokens) next = prepare(state_.phase_sequences + step->sequences, tokens);
    ETTIN_RETURN_IF_ERROR(run_step(*step, start, waited));  // leaving waits for `next`
    stopped_ = wants_stop();
    if (phase_is_done()) break;
    const auto passed = [&](int64_t every) {
      return every > 0 && tokens_before / every != tokens / every;
    };
    if (passed(recipe_.validation.every_tokens)) ETTIN_RETURN_IF_ERROR(validate());
    if (stopped_ || passed(phase().checkpoint_tokens)) ETTIN_RETURN_IF_ERROR(save());
  }
  if (!phase_is_done()) return Status();
  ETTIN_RETURN_IF_ERROR(validate());
  return save();
}

Status Trainer::run_step(const StepData& data, Clock::time_point start, double waited) {
  StepMetrics m;
  m.step = state_.step + 1;
  m.phase = phase().name;
  m.step_tokens = data.tokens;
  m.targets = data.targets;
  m.learning_rate = learning_rate_at(phase(), state_.phase_tokens);
  m.loss = pass_->run(*trained_, data.microbatches,
                      {.attention_out_dropout = recipe_.attention_out_dropout,
                       .recompute = recipe_.recompute,
                       .pad_row_quirk = recipe_.pad_row_quirk});
  ETTIN_RETURN_IF_ERROR(update(&m));

  state_.phase_step += 1;
  state_.phase_tokens += data.tokens;
  state_.phase_sequences += data.sequences;
  state_.step += 1;
  state_.tokens += data.tokens;
  state_.data_chain = extend_chain(state_.data_chain, data.batch_hash);
  ETTIN_RETURN_IF_ERROR(data_log_->append({.phase = state_.phase,
                                           .phase_step = state_.phase_step,
                                           .step = state_.step,
                                           .epoch = data.epoch,
                                           .first = data.first,
                                           .sequences = data.sequences,
                                           .tokens = data.tokens,
                                           .batch_hash = data.batch_hash,
                                           .chain = state_.data_chain}));
  m.tokens = state_.tokens;
  m.data_seconds = waited;
  m.seconds = seconds_since(start);
  ETTIN_RETURN_IF_ERROR(metrics_->add(m));
  observer_.stepped(m);
  return Status();
}

// The weights take a step, unless loss or gradient say that it would do harm.
Status Trainer::update(StepMetrics* m) {
  ThreadPool& threads = backend_->threads();
  const Dtype dtype = backend_->activation_dtype();
  m->gradient_norm = gradient_norm(dtype, optimized_, threads);
  const bool finite = std::isfinite(m->loss) && std::isfinite(m->gradient_norm);
  if (!finite && recipe_.stop_on_nonfinite) {
    return Status(StatusCode::bad_data,
                  fmt::format("step {}: the loss is {}, the gradient's norm {}", m->step, m->loss,
                              m->gradient_norm),
                  fmt::format("look at the step with `ettin data show {} --step {}`; lower the "
                              "learning rate, set optimizer.clip_norm, or set stop_on_nonfinite: "
                              "false to leave such steps out",
                              options_.run_folder, m->step));
  }
  if (!finite || is_spike(state_.recent_norms, m->gradient_norm, recipe_.spike_factor)) {
    m->skipped = true;
    state_.skipped_steps += 1;
    observer_.note(fmt::format("step {} is left out: loss {:.4g}, gradient norm {:.4g}", m->step,
                               m->loss, m->gradient_norm));
    return Status();
  }
  remember_norm(m->gradient_norm, &state_.recent_norms);
  state_.optimizer_step += 1;
  optimizer_step(dtype, recipe_.optimizer,
                 {.number = state_.optimizer_step,
                  .learning_rate = m->learning_rate,
                  .peak = weight_decay_peak(recipe_, phase_number()),
                  .gradient_scale = clip_factor(recipe_.optimizer, m->gradient_norm)},
                 optimized_, threads);
  trained_->repack();
  return Status();
}

Status Trainer::validate() {
  if (!validation_) return Status();
  const auto [loss, accuracy] = pass_->evaluate(*trained_, validation_->microbatches());
  const ValidationMetrics m{state_.step, state_.tokens, loss, accuracy};
  ETTIN_RETURN_IF_ERROR(metrics_->add(m));
  observer_.validated(m);
  return Status();
}

Status Trainer::save() {
  ETTIN_RETURN_IF_ERROR(data_log_->sync());
  ETTIN_ASSIGN_OR_RETURN(
      checkpoint_, write_checkpoint(folder_->checkpoints(), phase().tag, trained_->network.config,
                                    recipe_.tokenizer, identity_, state_, tensors()));
  observer_.saved(checkpoint_);
  return apply_retention(folder_->checkpoints(), recipe_.keep_checkpoints);
}

void Trainer::begin_next_phase() {
  state_.phase += 1;
  state_.phase_step = state_.phase_tokens = state_.phase_sequences = 0;
  if (!phase().fresh_optimizer) return;
  state_.optimizer_step = 0;
  state_.recent_norms.clear();
  for (Parameters* moments : {&moment1_, &moment2_}) {
    std::memset(moments->data->data(), 0, moments->data->size());
  }
}

Result<TrainOutcome> Trainer::run() {
  ETTIN_RETURN_IF_ERROR(prepare());
  observer_.started(recipe_, state_);
  stopped_ = wants_stop();
  const auto last = static_cast<int64_t>(recipe_.phases.size()) - 1;
  while (!stopped_) {
    if (!phase_is_done()) ETTIN_RETURN_IF_ERROR(run_phase());
    if (stopped_ || state_.phase == last) break;
    begin_next_phase();
  }
  return TrainOutcome{state_.phase == last && phase_is_done(), state_, checkpoint_,
                      pass_->activation_bytes()};
}

}  // namespace

Result<TrainOutcome> train(const Recipe& recipe, const TrainOptions& options,
                           TrainObserver& observer) {
  const SubnormalsAreZero zero;  // as training goes on they would come to halve its speed
  return Trainer(recipe, options, observer).run();
}

}  // namespace ettin
