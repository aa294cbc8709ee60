// ettin plot
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "command.h"
#include "report/html.h"
#include "run_charts.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

class Plot : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] RUN...",
            "Draws training runs, finished or not: one page of HTML with loss, learning rate, "
            "gradient norm, throughput and a table of where each run stands, or one chart as SVG. "
            "RUN is the folder of a run, or a folder of runs such as a pair; several are drawn "
            "over each other. Faint lines are single steps, strong ones moving means, dots "
            "validations. The files need nothing from outside and follow the reader's light or "
            "dark scheme.",
            {"ettin plot runs/nano", "ettin plot runs/encoder runs/decoder --output pair.html",
             "ettin plot runs/nano --output loss.svg --metric loss --log --x steps",
             "ettin plot runs/nano --json | jq .runs[].validation_loss"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&paths_);
    flags.option("--output", "FILE",
                 "FILE.html or FILE.svg; else plots.html in RUN, or here if there are several",
                 &out_);
    flags.option("--metric", "NAME",
                 fmt::format("draw only this: {}", fmt::join(kRunMetrics, ", ")), &metric_);
    flags.choice("--x", {"tokens", "steps"}, "what the charts are drawn against", &x_);
    flags.option("--smooth", "N", "steps of the moving mean; 0: a hundredth of the run, 1: none",
                 &options_.smooth);
    flags.toggle("--log", "loss and gradient norm on a logarithmic axis", &options_.log_y);
    flags.toggle("--log-x", "tokens or steps on a logarithmic axis", &options_.log_x);
    flags.toggle("--json", "the file's path and where each run stands as one object", &json);
  }

  Status run(Console& console) override {
    if (paths_.empty()) {
      return Status(StatusCode::invalid_argument, "plot needs the folder of a run",
                    fmt::format("for example: {} plot runs/nano", program));
    }
    if (metric_ && std::find(std::begin(kRunMetrics), std::end(kRunMetrics), *metric_) ==
                       std::end(kRunMetrics)) {
      return Status(
          StatusCode::invalid_argument,
          fmt::format("--metric: \"{}\" is none of {}", *metric_, fmt::join(kRunMetrics, ", ")));
    }
    if (options_.smooth < 0) {
      return Status(StatusCode::invalid_argument, "--smooth: at least 0");
    }
    const std::string out = !out_.empty()        ? out_
                            : paths_.size() == 1 ? join_path(paths_[0], "plots.html")
                                                 : "plots.html";
    const bool svg = out.ends_with(".svg");
    if (!svg && !out.ends_with(".html")) {
      return Status(StatusCode::invalid_argument,
                    fmt::format("--output: {} ends neither in .html nor in .svg", out));
    }
    options_.by_tokens = x_ == "tokens";
    ETTIN_ASSIGN_OR_RETURN(const std::vector<RunMetrics> runs, read_runs(paths_));
    ETTIN_RETURN_IF_ERROR(write_file_atomic(
        out, svg ? svg_document(run_chart(runs, metric_.value_or("loss"), options_)) : page(runs)));
    if (json) {
      console.line(dump_json(document(out, runs)));
    } else {
      show(console, out, summary_table(runs, options_));
    }
    return {};
  }

 private:
  std::string page(const std::vector<RunMetrics>& runs) const {
    ReportPage page;
    for (const RunMetrics& run : runs) {
      page.title += (page.title.empty() ? "" : ", ") + run.name;
    }
    page.subtitle = runs.size() == 1 ? runs[0].path : fmt::format("{} runs", runs.size());
    for (const std::string_view metric : kRunMetrics) {
      // Validations are in the chart of the loss already.
      if (metric_ ? metric != *metric_ : metric == "validation") continue;
      Chart chart = run_chart(runs, metric, options_);
      if (!page.charts.empty()) {
        chart.width = 480;
        chart.height = 290;
      }
      page.charts.push_back(std::move(chart));
    }
    page.tables.push_back(summary_table(runs, options_));
    return html_page(page);
  }

  Json document(const std::string& out, const std::vector<RunMetrics>& runs) const {
    Json list = Json::array();
    const auto optional = [](std::optional<double> x) { return x ? Json(*x) : Json(nullptr); };
    for (const RunMetrics& run : runs) {
      const RunSummary s = summarize(run, options_);
      list.push_back({{"run", run.path},
                      {"name", run.name},
                      {"steps", s.steps},
                      {"tokens", s.tokens},
                      {"loss", optional(s.loss)},
                      {"validation_loss", optional(s.validation_loss)},
                      {"best_validation_loss", optional(s.best_validation_loss)},
                      {"accuracy", optional(s.accuracy)},
                      {"seconds", s.seconds},
                      {"tokens_per_second", s.tokens_per_second},
                      {"data_wait", s.data_wait},
                      {"skipped_steps", s.skipped_steps}});
    }
    return {{"output", out}, {"runs", list}};
  }

  static void show(Console& console, const std::string& out, const ReportTable& table) {
    console.line(fmt::format("wrote {}", printable(out)));
    console.line();
    std::vector<std::vector<std::string>> lines = table.rows;
    lines.insert(lines.begin(), table.columns);
    std::vector<int> widths(table.columns.size(), 0);
    for (const auto& line : lines) {
      for (size_t i = 0; i < line.size(); ++i) {
        widths[i] = std::max(widths[i], display_width(printable(line[i])));
      }
    }
    for (size_t row = 0; row < lines.size(); ++row) {
      std::string text = pad_right(lines[row][0], widths[0]);
      for (size_t i = 1; i < lines[row].size(); ++i) {
        text += "  " + pad_left(printable(lines[row][i]), widths[i]);
      }
      console.line(row == 0 ? console.out(Style::bold, text) : text);
    }
  }

  std::vector<std::string> paths_;
  std::string out_, x_ = "tokens";
  std::optional<std::string> metric_;
  RunChartOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_plot() { return std::make_unique<Plot>(); }

}  // namespace ettin::cli
