#include "train/plan.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "model/weights.h"
#include "train/schedule.h"

namespace ettin {
namespace {

constexpr int64_t kFloat = 4;
constexpr int64_t kCrossEntropyBytes = int64_t{32} << 20;  // blocks of logits, never all of them
constexpr std::array<double, 5> kRatesAt{0, 0.01, 0.25, 0.5, 1};

// Keys that a token of a full sequence sees on average.
double mean_keys(AttentionSpec spec, int64_t length) {
  const auto seen = [&](int64_t limit) {  // on one side, over all positions
    const int64_t most = std::min(limit, length - 1);
    return static_cast<double>(most) * static_cast<double>(length) -
           static_cast<double>(most) * static_cast<double>(most + 1) / 2;
  };
  return 1 + (seen(spec.left) + seen(spec.right)) / static_cast<double>(length);
}

int64_t matrix_elements(const ModelConfig& config) {
  int64_t count = 0;
  for_each_tensor(config, [&](const TensorSpec& spec) {
    if (!spec.is_norm && !spec.tied) count += spec.rows * spec.cols;
  });
  return count;
}

// Steps and what they feed, by the trainer's rule: the phase ends with the first step that reaches
// its tokens. Only a batch-size warm-up is walked through.
void count_steps(const PhaseRecipe& p, double length, PhasePlan* plan) {
  double tokens = 0;
  while (tokens < static_cast<double>(p.batch_warmup_tokens) &&
         tokens < static_cast<double>(p.tokens)) {
    const int64_t sequences = batch_sequences_at(p, static_cast<int64_t>(tokens));
    tokens += static_cast<double>(sequences) * length;
    plan->sequences += sequences;
    ++plan->steps;
  }
  const double step = static_cast<double>(p.batch_sequences) * length;
  const auto rest =
      static_cast<int64_t>(std::ceil(std::max(0.0, static_cast<double>(p.tokens) - tokens) / step));
  plan->steps += rest;
  plan->sequences += rest * p.batch_sequences;
  plan->tokens = std::llround(tokens + static_cast<double>(rest) * step);
}

std::string bytes_text(int64_t bytes) {
  const auto b = static_cast<double>(bytes);
  return b < 1e9 ? fmt::format("{:.1f} MB", b / 1e6) : fmt::format("{:.2f} GB", b / 1e9);
}

std::string count_text(double n) {
  constexpr std::array<std::pair<double, const char*>, 4> kUnits{
      {{1e12, " T"}, {1e9, " B"}, {1e6, " M"}, {1e4, " k"}}};
  for (const auto& [unit, name] : kUnits) {
    if (n >= unit) return fmt::format("{:.4g}{}", n / (unit == 1e4 ? 1e3 : unit), name);
  }
  return fmt::format("{:.0f}", n);
}

std::string time_text(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 172800) return fmt::format("{:.1f} h", seconds / 3600);
  return fmt::format("{} days", count_text(std::round(seconds / 86400)));
}

}  // namespace

int64_t activation_bytes(const ModelConfig& c, int64_t tokens, bool recompute) {
  const int64_t H = c.hidden_size, I = c.intermediate_size, A = c.num_heads;
  const int64_t kept =
      recompute ? c.num_layers * H + 5 * H + A + 3 * I : c.num_layers * (6 * H + A + 2 * I);
  const int64_t once = 10 * H + 5 * I;
  return kFloat * tokens * (kept + once);
}

MemoryEstimate estimate_memory(const Recipe& recipe, size_t phase, Arm arm,
                               int64_t microbatch_tokens) {
  const ModelConfig config = phase_model(recipe, phase, arm);
  MemoryEstimate m;
  m.parameters = m.gradients = kFloat * parameter_count(config);
  m.moments = 2 * m.parameters;
  m.packed = 2 * matrix_elements(config) * (recipe.dtype == WeightFormat::bf16 ? 2 : kFloat);
  m.activations = activation_bytes(config, microbatch_tokens, recipe.recompute);
  m.cross_entropy = kCrossEntropyBytes;
  return m;
}

double training_flops_per_token(const ModelConfig& c, int64_t length, double predicted) {
  const auto H = static_cast<double>(c.hidden_size), I = static_cast<double>(c.intermediate_size);
  const auto L = static_cast<double>(c.num_layers), V = static_cast<double>(c.vocab_size);
  double keys = 0;
  for (int64_t i = 0; i < c.num_layers; ++i) keys += mean_keys(c.attention(i), length);
  const double forward =
      2 * L * (4 * H * H + 3 * H * I) + 4 * H * keys + 2 * predicted * (H * H + H * V);
  return 3 * forward;
}

Plan make_plan(const Recipe& recipe, const PlanOptions& options) {
  Plan plan;
  plan.name = recipe.name;
  plan.arm = options.arm.name;
  plan.gflops = options.gflops;
  plan.parameters = parameter_count(phase_model(recipe, 0, options.arm));
  plan.checkpoint_bytes = 3 * kFloat * plan.parameters;
  for (size_t i = 0; i < recipe.phases.size(); ++i) {
    const PhaseRecipe& p = recipe.phases[i];
    const ModelConfig config = phase_model(recipe, i, options.arm);
    PhasePlan phase;
    phase.name = p.name;
    const PhaseLengths known = i < options.lengths.size() ? options.lengths[i] : PhaseLengths();
    phase.length_is_known = known.mean >= 1;
    phase.mean_length = phase.length_is_known ? known.mean : static_cast<double>(p.max_length);
    count_steps(p, phase.mean_length, &phase);
    for (const double done : kRatesAt) {
      const auto t = static_cast<int64_t>(done * static_cast<double>(p.tokens));
      phase.rates.push_back({done, learning_rate_at(p, t)});
    }
    // One each time a multiple was passed, and the last.
    if (p.checkpoint_tokens > 0) phase.checkpoints = (p.tokens - 1) / p.checkpoint_tokens;
    ++phase.checkpoints;
    phase.microbatch_tokens =
        phase.length_is_known ? known.largest_microbatch : p.microbatch_sequences * p.max_length;
    phase.memory = estimate_memory(recipe, i, options.arm, phase.microbatch_tokens);
    const bool masked = options.arm.objective == Objective::mlm;
    phase.flops =
        static_cast<double>(phase.tokens) *
        training_flops_per_token(config, std::llround(phase.mean_length), masked ? p.mask_rate : 1);
    if (options.gflops > 0) phase.seconds = phase.flops / (options.gflops * 1e9);
    plan.phases.push_back(std::move(phase));
  }
  return plan;
}

std::string format_plan(const Plan& plan) {
  std::string out = fmt::format("{}, {}: {} parameters\n\n", plan.name, plan.arm,
                                count_text(static_cast<double>(plan.parameters)));
  out += fmt::format("{:<12} {:>9} {:>9} {:>8} {:>8} {:>11} {:>11} {:>10}\n", "phase", "tokens",
                     "steps", "length", "saved", "memory", "FLOP", "time");
  double seconds = 0;
  int64_t checkpoints = 0;
  bool assumed = false;
  for (const PhasePlan& p : plan.phases) {
    out += fmt::format("{:<12} {:>9} {:>9} {:>8} {:>8} {:>11} {:>11.3g} {:>10}\n",
                       p.name.substr(0, 12), count_text(static_cast<double>(p.tokens)), p.steps,
                       fmt::format("{:.0f}{}", p.mean_length, p.length_is_known ? "" : "*"),
                       p.checkpoints, bytes_text(p.memory.total()), p.flops,
                       plan.gflops > 0 ? time_text(p.seconds) : "-");
    seconds += p.seconds;
    checkpoints += p.checkpoints;
    assumed |= !p.length_is_known;
  }
  out += "\nlearning rate at 0, 1, 25, 50 and 100 % of the phase\n";
  for (const PhasePlan& p : plan.phases) {
    out += fmt::format("{:<12}", p.name.substr(0, 12));
    for (const PlannedRate& rate : p.rates) out += fmt::format(" {:>10.3g}", rate.learning_rate);
    out += '\n';
  }
  out += "\nmemory\n";
  for (const PhasePlan& p : plan.phases) {
    const MemoryEstimate& m = p.memory;
    out += fmt::format("{:<12} weights {}, gradients {}, moments {}, packed {},\n",
                       p.name.substr(0, 12), bytes_text(m.parameters), bytes_text(m.gradients),
                       bytes_text(m.moments), bytes_text(m.packed));
    out += fmt::format("{:<12} activations of {} tokens {}, loss {}\n", "", p.microbatch_tokens,
                       bytes_text(m.activations), bytes_text(m.cross_entropy));
  }
  out += fmt::format("\n{} checkpoints of {}: at most {}\n", checkpoints,
                     bytes_text(plan.checkpoint_bytes),
                     bytes_text(checkpoints * plan.checkpoint_bytes));
  if (plan.gflops > 0) {
    out += fmt::format("time at {:.0f} GFLOP/s: {}\n", plan.gflops, time_text(seconds));
  }
  if (assumed) out += "* the data is not there: every sequence counts as max_length tokens\n";
  return out;
}

}  // namespace ettin
