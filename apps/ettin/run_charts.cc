#include "run_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr size_t kMostRuns = 32;

bool holds_run(const std::string& folder) { return file_exists(join_path(folder, "metrics.csv")); }

// The run folders that `path` stands for.
Result<std::vector<std::string>> find_runs(const std::string& path) {
  if (holds_run(path)) return std::vector<std::string>{path};
  std::vector<std::string> found;
  if (directory_exists(path)) {
    ETTIN_ASSIGN_OR_RETURN(std::vector<std::string> names, list_folder(path, false));
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      std::string folder = join_path(path, name);
      if (holds_run(folder)) found.push_back(std::move(folder));
    }
  }
  if (!found.empty()) return found;
  return Status(StatusCode::not_found, fmt::format("{}: no metrics.csv here", path),
                "name the folder of a run of \"ettin train\", or a folder of such folders");
}

// The shortest ends of the paths that differ from each other.
void name_runs(std::vector<RunMetrics>* runs) {
  namespace fs = std::filesystem;
  std::vector<fs::path> left;
  for (RunMetrics& run : *runs) {
    std::error_code error;
    fs::path path = fs::absolute(run.path, error).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();  // DIR/
    run.name = path.filename().string();
    left.push_back(path.parent_path());
  }
  for (int parts = 1; parts < 16; ++parts) {
    std::set<std::string> names;
    for (const RunMetrics& run : *runs) names.insert(run.name);
    if (names.size() == runs->size()) return;
    for (size_t i = 0; i < runs->size(); ++i) {
      if (!left[i].has_filename()) continue;
      (*runs)[i].name = fmt::format("{}/{}", left[i].filename().string(), (*runs)[i].name);
      left[i] = left[i].parent_path();
    }
  }
}

int64_t smoothing(const RunMetrics& run, const RunChartOptions& options) {
  if (options.smooth > 0) return options.smooth;
  return std::max<int64_t>(static_cast<int64_t>(run.steps.size()) / 100, 1);
}

double metric_of(const StepMetrics& m, std::string_view metric) {
  if (metric == "loss") return m.loss;
  if (metric == "learning_rate") return m.learning_rate;
  if (metric == "gradient_norm") return m.gradient_norm;
  if (metric == "tokens_per_second") return static_cast<double>(m.step_tokens) / m.seconds;
  ETTIN_CHECK(metric == "data_wait");
  return 100 * m.data_seconds / m.seconds;
}

// Tokens only ever grow, unless somebody wrote the file by hand.
void sort_by_x(std::vector<CurvePoint>* points) {
  std::stable_sort(points->begin(), points->end(),
                   [](const CurvePoint& a, const CurvePoint& b) { return a.x < b.x; });
}

class ChartOfRuns {
 public:
  ChartOfRuns(std::span<const RunMetrics> runs, const RunChartOptions& options)
      : runs_(runs), options_(options) {
    chart_.x_label = options.by_tokens ? "tokens" : "steps";
    chart_.log_x = options.log_x;
  }

  void add_steps(std::string_view metric, bool smoothed) {
    for (size_t i = 0; i < runs_.size(); ++i) {
      const RunMetrics& run = runs_[i];
      const int64_t window = smoothed ? smoothing(run, options_) : 1;
      std::vector<CurvePoint> all, counted;
      for (const StepMetrics& m : run.steps) {
        const CurvePoint point = {x_of(m), metric_of(m, metric)};
        if (!std::isfinite(point.y)) continue;
        all.push_back(point);
        if (!m.skipped) counted.push_back(point);
      }
      sort_by_x(&all);
      sort_by_x(&counted);
      const auto colour = static_cast<int>(i);
      if (window > 1) chart_.curves.push_back({"", CurveStyle::raw, colour, false, std::move(all)});
      std::string name = runs_.size() == 1 ? "" : run.name;
      if (runs_.size() == 1 && metric == "loss" && !run.validations.empty()) name = "training";
      // Runs of a pair have one learning rate: the later one must not hide the earlier.
      const bool dashed = !smoothed && i > 0;
      chart_.curves.push_back({name, CurveStyle::line, colour, dashed, smooth(counted, window)});
    }
  }

  void add_validations() {
    for (size_t i = 0; i < runs_.size(); ++i) {
      const RunMetrics& run = runs_[i];
      if (run.validations.empty()) continue;
      Curve curve{runs_.size() == 1 ? "validation" : fmt::format("{}, validation", run.name),
                  CurveStyle::dots,
                  static_cast<int>(i),
                  false,
                  {}};
      for (const ValidationMetrics& m : run.validations) {
        curve.points.push_back({x_of(m), m.loss});
      }
      sort_by_x(&curve.points);
      chart_.curves.push_back(std::move(curve));
    }
  }

  // Where phases begin, when there is more than one; runs of a pair share their marks.
  void add_marks() {
    for (const RunMetrics& run : runs_) {
      const StepMetrics* previous = nullptr;
      for (const StepMetrics& m : run.steps) {
        if (previous == nullptr || previous->phase != m.phase) {
          add_mark({previous == nullptr ? 0 : x_of(*previous), m.phase});
        }
        previous = &m;
        if (chart_.marks.size() > 64) return;  // no recipe has so many
      }
    }
    std::sort(chart_.marks.begin(), chart_.marks.end(),
              [](const ChartMark& a, const ChartMark& b) { return a.x < b.x; });
    if (chart_.marks.size() == 1) chart_.marks.clear();
  }

  Chart& chart() { return chart_; }

 private:
  template <class Row>
  double x_of(const Row& m) const {
    return static_cast<double>(options_.by_tokens ? m.tokens : m.step);
  }

  void add_mark(const ChartMark& mark) {
    for (const ChartMark& other : chart_.marks) {
      if (other.x == mark.x && other.name == mark.name) return;
    }
    chart_.marks.push_back(mark);
  }

  std::span<const RunMetrics> runs_;
  const RunChartOptions& options_;
  Chart chart_;
};

}  // namespace

Result<std::vector<RunMetrics>> read_runs(std::span<const std::string> paths) {
  std::vector<RunMetrics> runs;
  for (const std::string& path : paths) {
    ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> folders, find_runs(path));
    for (const std::string& folder : folders) {
      if (runs.size() == kMostRuns) {
        return Status(StatusCode::resource_limit,
                      fmt::format("more than {} runs: nobody could tell them apart", kMostRuns));
      }
      ETTIN_ASSIGN_OR_RETURN(std::vector<StepMetrics> steps, read_metrics(folder));
      ETTIN_ASSIGN_OR_RETURN(std::vector<ValidationMetrics> validations, read_validation(folder));
      runs.push_back({folder, "", std::move(steps), std::move(validations)});
    }
  }
  name_runs(&runs);
  return runs;
}

Chart run_chart(std::span<const RunMetrics> runs, std::string_view metric,
                const RunChartOptions& options) {
  ChartOfRuns of(runs, options);
  Chart& chart = of.chart();
  of.add_marks();
  if (metric == "loss") {
    chart.title = "loss";
    chart.unit = "nats per target";
    chart.log_y = options.log_y;
    of.add_steps(metric, true);
    of.add_validations();
  } else if (metric == "validation") {
    chart.title = "validation loss";
    chart.unit = "nats per target";
    chart.log_y = options.log_y;
    of.add_validations();
  } else if (metric == "learning_rate") {
    chart.title = "learning rate";
    chart.from_zero = true;
    of.add_steps(metric, false);
  } else if (metric == "gradient_norm") {
    chart.title = "gradient norm";
    chart.log_y = options.log_y;
    chart.from_zero = true;
    of.add_steps(metric, true);
  } else if (metric == "tokens_per_second") {
    chart.title = "throughput";
    chart.unit = "tokens per second";
    chart.from_zero = true;
    of.add_steps(metric, true);
  } else {
    chart.title = "waiting for data";
    chart.unit = "per cent of the time";
    chart.from_zero = true;
    of.add_steps(metric, true);
  }
  return std::move(chart);
}

RunSummary summarize(const RunMetrics& run, const RunChartOptions& options) {
  RunSummary s;
  double waited = 0;
  for (const StepMetrics& m : run.steps) {
    s.skipped_steps += m.skipped ? 1 : 0;
    if (std::isfinite(m.seconds) && m.seconds > 0) {
      s.seconds += m.seconds;
      s.tokens_per_second += static_cast<double>(m.step_tokens);
      if (std::isfinite(m.data_seconds)) waited += m.data_seconds;
    }
  }
  s.tokens_per_second = s.seconds > 0 ? s.tokens_per_second / s.seconds : 0;
  s.data_wait = s.seconds > 0 ? waited / s.seconds : 0;
  double sum = 0;
  int64_t count = 0;
  for (auto m = run.steps.rbegin(); m != run.steps.rend() && count < smoothing(run, options); ++m) {
    if (m->skipped || !std::isfinite(m->loss)) continue;
    sum += m->loss;
    ++count;
  }
  if (count > 0) s.loss = sum / static_cast<double>(count);
  if (!run.steps.empty()) {
    s.steps = run.steps.back().step;
    s.tokens = run.steps.back().tokens;
  }
  for (const ValidationMetrics& m : run.validations) {
    s.validation_loss = m.loss;
    s.accuracy = m.accuracy;
    if (!s.best_validation_loss || m.loss < *s.best_validation_loss) {
      s.best_validation_loss = m.loss;
    }
  }
  return s;
}

ReportTable summary_table(std::span<const RunMetrics> runs, const RunChartOptions& options) {
  ReportTable table{"where the runs stand", {""}, {}};
  if (runs.size() == 1) table.title = "where the run stands";
  const std::vector<std::string> rows = {"steps",
                                         "tokens",
                                         "training loss",
                                         "validation loss",
                                         "its lowest",
                                         "validation perplexity",
                                         "validation accuracy",
                                         "time in steps",
                                         "tokens per second",
                                         "waiting for data",
                                         "skipped steps"};
  for (const std::string& row : rows) table.rows.push_back({row});
  const auto loss = [](std::optional<double> x) { return x ? fmt::format("{:.4f}", *x) : "-"; };
  for (const RunMetrics& run : runs) {
    const RunSummary s = summarize(run, options);
    table.columns.push_back(run.name);
    const std::string cells[] = {
        with_commas(s.steps),
        with_commas(s.tokens),
        loss(s.loss),
        loss(s.validation_loss),
        loss(s.best_validation_loss),
        s.validation_loss ? fmt::format("{:.4g}", std::exp(*s.validation_loss)) : "-",
        s.accuracy ? fmt::format("{:.2f} %", *s.accuracy * 100) : "-",
        readable_duration(s.seconds),
        s.seconds > 0 ? with_commas(std::llround(std::min(s.tokens_per_second, 1e18))) : "-",
        s.seconds > 0 ? fmt::format("{:.1f} %", s.data_wait * 100) : "-",
        with_commas(s.skipped_steps)};
    for (size_t i = 0; i < std::size(cells); ++i) table.rows[i].push_back(cells[i]);
  }
  // What no run has is not worth a line.
  std::erase_if(table.rows, [](const std::vector<std::string>& row) {
    return std::all_of(row.begin() + 1, row.end(), [](const auto& cell) { return cell == "-"; });
  });
  return table;
}

}  // namespace ettin::cli
