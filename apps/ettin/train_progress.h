// How training goes, on standard error: one line drawn over and over on a terminal, a plain line
// now and then elsewhere.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "console.h"
#include "train/metrics.h"

namespace ettin::cli {

struct TrainPlan {
  int64_t tokens = 0;        // of the whole run
  int64_t done_tokens = 0;   // of a resumed run: before this start
  double line_seconds = 30;  // between two plain lines
};

// What the line says of a step.
struct TrainStanding {
  StepMetrics last;
  double loss = 0;               // mean of the steps since the line before
  double fraction = 0;           // of the run, 0 to 1
  double tokens_per_second = 0;  // of late; 0: unknown
  std::optional<double> seconds_left;
};

// The line in at most `columns`; what matters least is left out first, and the bar takes the rest.
std::string progress_line(const TrainStanding& standing, int columns, bool utf8);
// The same without a bar, as wide as it is.
std::string plain_line(const TrainStanding& standing);

// Not thread-safe.
class TrainProgress {
 public:
  TrainProgress(Console& console, const TrainPlan& plan);
  ~TrainProgress() { console_.draw_progress(""); }
  TrainProgress(const TrainProgress&) = delete;
  TrainProgress& operator=(const TrainProgress&) = delete;

  void step(const StepMetrics& metrics);
  // These stay on the terminal, above the line.
  void validation(const ValidationMetrics& metrics);
  void note(std::string_view text);
  // Says what was done; nothing when there was no step.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  void show(Clock::time_point now);
  void redraw();

  Console& console_;
  const TrainPlan plan_;
  const Clock::time_point start_ = Clock::now();
  std::optional<Clock::time_point> shown_;
  TrainStanding standing_;
  int64_t steps_ = 0, tokens_ = 0;                 // of this start
  double recent_tokens_ = 0, recent_seconds_ = 0;  // fading over about half a minute
  double loss_sum_ = 0, loss_weight_ = 0;          // since the line before
};

}  // namespace ettin::cli
