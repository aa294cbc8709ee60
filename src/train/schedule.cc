#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ettin {
namespace {

constexpr double kFirstFactor = 1e-10;  // of a warm-up: the original scheduler does not start at 0

}  // namespace

double schedule_factor(const Schedule& schedule, int64_t phase_tokens, int64_t t) {
  if (t < schedule.warmup_tokens) {
    const double done = static_cast<double>(t) / static_cast<double>(schedule.warmup_tokens);
    return kFirstFactor + done * (1 - kFirstFactor);
  }
  const int64_t since = t - (phase_tokens - schedule.decay_tokens);
  if (schedule.decay == ScheduleKind::constant || schedule.decay_tokens == 0 || since < 0) return 1;
  const double x = static_cast<double>(since) / static_cast<double>(schedule.decay_tokens);
  const double a = schedule.final_factor;
  switch (schedule.decay) {
    case ScheduleKind::constant:
      break;
    case ScheduleKind::linear:
      return std::max(0.0, 1 - x * (1 - a));
    case ScheduleKind::cosine:
      return a + (1 - a) * (1 + std::cos(std::numbers::pi * std::min(x, 1.0))) / 2;
    case ScheduleKind::one_minus_sqrt:
      return std::max(a, a + (1 - a) * (1 - std::sqrt(x)));
  }
  return 1;
}

double learning_rate_at(const PhaseRecipe& phase, int64_t t) {
  return phase.learning_rate * schedule_factor(phase.schedule, phase.tokens, t);
}

int64_t batch_sequences_at(const PhaseRecipe& phase, int64_t t) {
  if (t >= phase.batch_warmup_tokens) return phase.batch_sequences;
  const int64_t unit = phase.microbatch_sequences;
  const int64_t first = phase.batch_warmup_from / unit, last = phase.batch_sequences / unit;
  const auto sum_below = [&](int64_t b) { return (first + b - 1) * (b - first) / 2; };
  const auto total = static_cast<double>(sum_below(last));
  for (int64_t b = first; b < last; ++b) {
    const double share = static_cast<double>(sum_below(b + 1)) / total;
    const double end = std::ceil(static_cast<double>(phase.batch_warmup_tokens) * share);
    if (static_cast<double>(t) < end) return b * unit;
  }
  return phase.batch_sequences;
}

}  // namespace ettin
