// ettin train
#include <atomic>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "command.h"
#include "peak_probe.h"
#include "text_layout.h"
#include "train/plan.h"
#include "train/trainer.h"
#include "train_progress.h"

namespace ettin::cli {
namespace {

// Share of the measured peak that training a small model reaches; for --plan alone.
constexpr double kShareOfPeak = 0.4;

std::atomic<bool> interrupted = false;

// The first Ctrl-C asks the trainer to stop after its step; the second one ends the program.
extern "C" void interrupt(int signal) {
  interrupted = true;
  std::signal(signal, SIG_DFL);
}

class ProgressObserver : public TrainObserver {
 public:
  ProgressObserver(Console& console, bool quiet) : console_(console), quiet_(quiet) {}

  void started(const Recipe& recipe, const TrainState& state) override {
    TrainPlan plan;
    for (const PhaseRecipe& phase : recipe.phases) plan.tokens += phase.tokens;
    plan.done_tokens = state.tokens;
    if (!quiet_) progress_.emplace(console_, plan);
  }
  void stepped(const StepMetrics& m) override {
    last_ = m;
    if (progress_) progress_->step(m);
  }
  void validated(const ValidationMetrics& m) override {
    validation_ = m;
    if (progress_) progress_->validation(m);
  }
  void saved(const std::string& checkpoint) override { note("saved " + checkpoint); }
  void note(std::string_view text) override {
    if (progress_) {
      progress_->note(text);
    } else {
      console_.notice(text);
    }
  }
  bool wants_stop() override { return interrupted; }

  void finish() {
    if (progress_) progress_->finish();
    progress_.reset();
  }
  const std::optional<StepMetrics>& last() const { return last_; }
  const std::optional<ValidationMetrics>& validation() const { return validation_; }

 private:
  Console& console_;
  bool quiet_;
  std::optional<TrainProgress> progress_;
  std::optional<StepMetrics> last_;
  std::optional<ValidationMetrics> validation_;
};

class Train : public Command {
 public:
  CommandHelp help() const override {
    return {
        "[OPTIONS] RECIPE",
        "Trains an encoder, a decoder, or both as a pair, as a recipe says (docs/recipes.md). "
        "Both arms see the same tokens in the same order. A run that was interrupted, by "
        "Ctrl-C or by anything else, goes on when the same command is given again, and ends in "
        "the same weights bit for bit. Each checkpoint in RUN/checkpoints is a model that "
        "every command loads.",
        {"ettin train recipes/toy.yaml --plan",
         "ettin train recipes/toy.yaml --arm both --set 'phases.*.data=DATA/train' --output toy",
         "ettin train my.yaml --arm encoder --output mine --set optimizer.learning_rate=1e-3",
         "ettin plot toy/encoder toy/decoder"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&recipes_, 1);
    flags.choice("--arm", {"encoder", "decoder", "both"},
                 "what to train; both: one after the other, into RUN/encoder and RUN/decoder",
                 &arm_);
    flags.option("--output", "RUN", "the run's folder; a run that is there goes on", &out_);
    flags.list("--set", "KEY=VALUE",
               "change the recipe: optimizer.learning_rate=1e-3, phases.decay.tokens=8M",
               &settings_);
    flags.list("--preset", "NAME", "an overlay beside the recipe: faithful-run", &presets_);
    flags.toggle("--plan", "say what would be done: steps, memory, time; train nothing", &plan_);
    flags.option("--max-steps", "N", "stop with a checkpoint after step N of the run", &max_steps_);
    flags.option("--threads", "N", "threads; 0: the CPUs this process may run on", &threads_);
    flags.choice("--backend", {"cpu", "ref"}, "cpu, or ref: slow, the definition of correctness",
                 &backend_);
    flags.toggle("--quiet", "no progress", &quiet_);
    flags.toggle("--json", "what was done as one object per arm", &json);
  }

  Status run(Console& console) override {
    if (recipes_.size() != 1) {
      return Status(StatusCode::invalid_argument, "train needs one recipe",
                    "ettin train recipes/toy.yaml --plan");
    }
    ETTIN_ASSIGN_OR_RETURN(const Recipe recipe, read_recipe(recipes_[0], settings_, presets_));
    std::vector<Arm> arms;
    if (arm_ != kDecoder.name) arms.push_back(kEncoder);
    if (arm_ != kEncoder.name) arms.push_back(kDecoder);
    if (plan_) return show_plans(console, recipe, arms);
    if (out_.empty()) {
      return Status(StatusCode::invalid_argument, "train needs a folder for the run",
                    "add --output runs/NAME, or --plan to see what would be done");
    }
    if (max_steps_ < 0) {
      return Status(StatusCode::invalid_argument, "--max-steps is negative");
    }
    for (const int signal : {SIGINT, SIGTERM}) {
      if (std::signal(signal, interrupt) == SIG_IGN) std::signal(signal, SIG_IGN);  // nohup
    }
    for (const Arm& arm : arms) {
      const std::string folder = arms.size() == 1 ? out_ : join_path(out_, arm.name);
      ETTIN_RETURN_IF_ERROR(train_arm(console, recipe, arm, folder));
      if (interrupted) break;
    }
    return Status();
  }

 private:
  Status show_plans(Console& console, const Recipe& recipe, const std::vector<Arm>& arms) {
    const std::shared_ptr<ThreadPool> pool = shared_thread_pool(threads_);
    const std::vector<Peak> peaks = measure_peaks(*pool, {});
    const char* metric = recipe.dtype == WeightFormat::bf16 ? "bf16" : "fp32";
    double peak = best_peak(peaks, {}, metric, pool->size());
    if (peak == 0) peak = best_peak(peaks, {}, "fp32", pool->size());
    ETTIN_ASSIGN_OR_RETURN(const std::vector<PhaseLengths> lengths, measure_lengths(recipe));
    for (const Arm& arm : arms) {
      const Plan plan =
          make_plan(recipe, {.arm = arm, .lengths = lengths, .gflops = kShareOfPeak * peak});
      if (json) {
        console.line(dump_json(plan_json(plan)));
      } else {
        console.write(format_plan(plan));
      }
    }
    return Status();
  }

  static Json plan_json(const Plan& plan) {
    Json phases = Json::array();
    for (const PhasePlan& p : plan.phases) {
      Json rates = Json::array();
      for (const PlannedRate& r : p.rates) {
        rates.push_back({{"done", r.done}, {"learning_rate", r.learning_rate}});
      }
      phases.push_back({{"name", p.name},
                        {"steps", p.steps},
                        {"tokens", p.tokens},
                        {"sequences", p.sequences},
                        {"mean_length", p.mean_length},
                        {"microbatch_tokens", p.microbatch_tokens},
                        {"checkpoints", p.checkpoints},
                        {"learning_rates", rates},
                        {"memory_bytes", p.memory.total()},
                        {"flops", p.flops},
                        {"seconds", p.seconds}});
    }
    return {{"name", plan.name},
            {"arm", plan.arm},
            {"parameters", plan.parameters},
            {"gflops", plan.gflops},
            {"checkpoint_bytes", plan.checkpoint_bytes},
            {"phases", phases}};
  }

  Status train_arm(Console& console, const Recipe& recipe, const Arm& arm,
                   const std::string& folder) {
    ProgressObserver observer(console, quiet_);
    TrainOptions options;
    options.run_folder = folder;
    options.arm = arm;
    options.backend = backend_;
    options.threads = threads_;
    options.stop_at_step = max_steps_;
    const Result<TrainOutcome> outcome = train(recipe, options, observer);
    observer.finish();
    if (!outcome.ok()) return outcome.status();
    if (json) {
      console.line(dump_json(outcome_json(*outcome, arm, folder, observer)));
    } else {
      console.line(fmt::format("{} {}: {} steps, {} tokens{}", recipe.name, arm.name,
                               with_commas(outcome->state.step), with_commas(outcome->state.tokens),
                               outcome->finished ? "" : "; give the command again to go on"));
      console.line("  model   " + outcome->checkpoint);
      console.line(fmt::format("  curves  {} plot {}", program, folder));
    }
    return Status();
  }

  static Json outcome_json(const TrainOutcome& outcome, const Arm& arm, const std::string& folder,
                           const ProgressObserver& observer) {
    const TrainState& s = outcome.state;
    Json document = {{"run", folder},
                     {"arm", arm.name},
                     {"finished", outcome.finished},
                     {"steps", s.step},
                     {"tokens", s.tokens},
                     {"skipped_steps", s.skipped_steps},
                     {"data_chain", s.data_chain},
                     {"checkpoint", outcome.checkpoint},
                     {"activation_bytes", outcome.activation_bytes}};
    if (observer.last()) document["loss"] = observer.last()->loss;
    if (observer.validation()) {
      document["validation_loss"] = observer.validation()->loss;
      document["validation_accuracy"] = observer.validation()->accuracy;
    }
    return document;
  }

  std::vector<std::string> recipes_, settings_, presets_;
  std::string arm_ = "encoder", out_, backend_ = "cpu";
  bool plan_ = false, quiet_ = false;
  int threads_ = 0;
  int64_t max_steps_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_train() { return std::make_unique<Train>(); }

}  // namespace ettin::cli
