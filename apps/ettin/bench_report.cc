#include "bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bench_floor.h"
#include "infer/session.h"
#include "machine.h"
#include "model/config.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr int kCaseColumns = 22;
constexpr double kMiB = 1 << 20;

double fraction(double floor_ms, double ms) {
  return ms > 0 ? std::round(floor_ms / ms * 1e4) / 1e4 : 0;
}

}  // namespace

double rounded(double ms) { return std::round(ms * 1e3) / 1e3; }

std::string size_name(const ModelInfo& info) {
  for (const std::string_view size : {"17m", "32m", "68m", "150m", "400m", "1b"}) {
    const Result<ModelConfig> c = published_config(size, kEncoder);
    if (c.ok() && c->num_layers == info.layers && c->hidden_size == info.hidden_size &&
        c->vocab_size == info.vocab_size) {
      return std::string(size);
    }
  }
  const size_t end = info.directory.find_last_not_of('/');
  const std::string path = info.directory.substr(0, end + 1);
  return path.substr(path.rfind('/') + 1);
}

Work work_of(const Model& model, const BenchCase& c, int head_rows) {
  if (c.kind == BenchCase::Kind::tokenize || c.kind == BenchCase::Kind::load) return {};
  const Session& session = model.session();
  const ModelConfig& config = session.config();
  const WeightBytes weights = weight_bytes(config, session.network().weights);
  Work work;
  if (c.kind != BenchCase::Kind::decode) {
    if (c.kind == BenchCase::Kind::prefill) head_rows = 1;
    const int64_t each = static_cast<int64_t>(c.lengths.size());
    const int64_t rows = head_rows < 0 ? c.tokens() : head_rows * each;
    work.flop = forward_flop(config, c.lengths, rows);
    work.bytes = work.set_bytes = weights.layers + (rows > 0 ? weights.head : 0);
    return work;
  }
  const auto width = static_cast<int64_t>(dtype_info(session.backend().cache_dtype()).bytes);
  for (int64_t i = 0; i < kDecodeTokens; ++i) {
    const int64_t context = c.lengths[0] + i;
    work.flop += decode_flop(config, context);
    work.bytes += weights.layers + weights.head + cache_bytes(config, context, width);
  }
  work.set_bytes = work.bytes / kDecodeTokens;
  return work;
}

void add_machine(const Backend& backend, Json* line) {
  (*line)["machine"] = processor_name();
  (*line)["cores"] = online_cpus();
  (*line)["isa"] = backend.isa();
  (*line)["commit"] = source_commit();
}

void add_provenance(const Model& model, Json* line) {
  add_machine(model.session().backend(), line);
}

void add_arithmetic_floor(double flop, WeightFormat format, std::span<const Peak> before,
                          std::span<const Peak> after, Json* line) {
  const int threads = line->value("threads", 1);
  double rate = best_peak(before, after, multiply_metric(format, false), threads);
  if (rate <= 0) rate = best_peak(before, after, "fp32", threads);
  (*line)["gflop"] = rounded(flop / 1e9);
  if (rate <= 0) return;
  const double floor_ms = flop / rate / 1e6;
  (*line)["floor_ms"] = rounded(floor_ms);
  (*line)["of_floor"] = fraction(floor_ms, line->value("min_ms", 0.0));
  (*line)["of_floor_median"] = fraction(floor_ms, line->value("median_ms", 0.0));
  (*line)["peak_before"] = peak_table(before);
  (*line)["peak_after"] = peak_table(after);
}

void add_floor(const Model& model, const Work& work, bool exact_activations,
               std::span<const Peak> before, std::span<const Peak> after, Json* line) {
  const Session& session = model.session();
  const WeightBytes weights = weight_bytes(session.config(), session.network().weights);
  (*line)["weights_mb"] = std::round(weights.all / kMiB * 10) / 10;
  // What the matrices really are: a backend may compute in another format than it was asked for.
  const std::vector<LayerWeights>& layers = session.network().weights.layers;
  if (!layers.empty()) (*line)["weight_format"] = format_name(layers[0].qkv.format);
  if (before.empty() && after.empty()) return;
  const int threads = line->value("threads", 1);
  if (work.bytes > 0) {
    const auto best = [&](std::string_view metric) {
      return best_peak(before, after, metric, threads);
    };
    const std::string_view metric = multiply_metric(session.backend().format(), exact_activations);
    double rate = best(metric);
    // Without an instruction for it bf16 is multiplied as fp32.
    if (rate <= 0 && metric == "bf16") rate = best("fp32");
    const Floor floor = floor_of(work.flop, work.bytes, rate, best(read_metric(work.set_bytes)));
    if (floor.ms > 0) {
      (*line)["gflop"] = rounded(work.flop / 1e9);
      (*line)["read_mb"] = std::round(work.bytes / kMiB * 10) / 10;
      (*line)["floor_ms"] = std::round(floor.ms * 1e5) / 1e5;
      (*line)["floor_by"] = floor.by_memory ? "memory" : "arithmetic";
      (*line)["of_floor"] = fraction(floor.ms, line->value("min_ms", 0.0));
      (*line)["of_floor_median"] = fraction(floor.ms, line->value("median_ms", 0.0));
    }
  }
  (*line)["peak_before"] = peak_table(before);
  (*line)["peak_after"] = peak_table(after);
}

std::string table_head(const Console& console) {
  return console.out(Style::dim, fmt::format("{}{:>11}{:>11}{:>12}{:>9}{:>7}{:>7}",
                                             pad_right("case", kCaseColumns), "median", "best",
                                             "tokens/s", "of floor", "runs", "MB"));
}

std::string table_row(const Console& console, const Json& line) {
  const std::string name =
      pad_right(shorten(line.value("case", ""), kCaseColumns - 1, console.utf8()), kCaseColumns);
  if (line.contains("skipped")) {
    return name + console.out(Style::dim, fmt::format("skipped: {}", line.value("skipped", "")));
  }
  const double median = line.value("median_ms", 0.0), tokens = line.value("tokens", 0.0);
  const std::string rate =
      median > 0 && tokens > 0 ? with_commas(std::llround(tokens / median * 1e3)) : "-";
  const std::string share =
      line.contains("of_floor") ? fmt::format("{:.0f} %", line.value("of_floor", 0.0) * 100) : "-";
  std::string row = fmt::format("{}{:>11}{:>11}{:>12}{:>9}{:>7}{:>7}", name, readable_ms(median),
                                readable_ms(line.value("min_ms", 0.0)), rate, share,
                                line.value("runs", 0), line.value("rss_mb", 0));
  if (line.contains("mb_per_s")) row += fmt::format("  {:.1f} MB/s", line.value("mb_per_s", 0.0));
  return row;
}

std::string peak_summary(std::span<const Peak> peaks) {
  std::vector<std::string> order;
  std::map<std::string, std::map<int, double>> best;
  for (const Peak& peak : peaks) {
    if (!best.contains(peak.metric)) order.push_back(peak.metric);
    double& value = best[peak.metric][peak.threads];
    value = std::max(value, peak.best);
  }
  std::string text;
  for (const std::string& metric : order) {
    if (metric.starts_with("read_") && metric != read_metric(kMemoryMiB * kMiB)) continue;
    std::string rates;
    for (const auto& [threads, value] : best[metric]) {
      rates += fmt::format("{}{:.0f}", rates.empty() ? "" : " / ", value);
    }
    const char* unit = metric == "int8" ? "GOP/s" : metric.starts_with("read") ? "GB/s" : "GFLOP/s";
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ",
                        metric.starts_with("read") ? "memory" : metric, rates, unit);
  }
  return text;
}

}  // namespace ettin::cli
