// Training runs as charts and numbers: from what train/metrics.h reads to what report/ draws.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "report/html.h"
#include "train/metrics.h"

namespace ettin::cli {

struct RunMetrics {
  std::string path;
  std::string name;  // as much of the path's end as tells the runs apart
  std::vector<StepMetrics> steps;
  std::vector<ValidationMetrics> validations;
};

// Each path is the folder of a run, or a folder of such folders (a pair), in the order of their
// names.
Result<std::vector<RunMetrics>> read_runs(std::span<const std::string> paths);

struct RunChartOptions {
  bool by_tokens = true;  // or by steps
  int64_t smooth = 0;     // steps of a moving mean; 0: a hundredth of the run
  bool log_x = false, log_y = false;
};

// The choices of --metric; the first is the one an SVG shows.
inline constexpr std::string_view kRunMetrics[] = {
    "loss", "learning_rate", "gradient_norm", "tokens_per_second", "data_wait", "validation"};

// One chart of all runs. Precondition: `metric` is one of kRunMetrics. Steps that were skipped, and
// numbers that are not finite, are no part of a moving mean.
Chart run_chart(std::span<const RunMetrics> runs, std::string_view metric,
                const RunChartOptions& options);

// Where a run stands.
struct RunSummary {
  int64_t steps = 0, tokens = 0, skipped_steps = 0;
  std::optional<double> loss;             // mean of the last steps, as many as smoothing takes
  std::optional<double> validation_loss;  // the last one
  std::optional<double> best_validation_loss, accuracy;
  double seconds = 0;            // of all steps
  double tokens_per_second = 0;  // over all steps
  double data_wait = 0;          // share of the time, 0 to 1
};

RunSummary summarize(const RunMetrics& run, const RunChartOptions& options);

// One column per run.
ReportTable summary_table(std::span<const RunMetrics> runs, const RunChartOptions& options);

}  // namespace ettin::cli
