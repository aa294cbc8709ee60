#include "infer/quantize_report.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "base/file.h"
#include "infer/bench_hooks.h"
#include "infer/encode.h"
#include "infer/locate_model.h"
#include "model/model_settings.h"

namespace ettin {
namespace {

constexpr int64_t kTimedTokens = 512;  // of the batch that speed is measured on
constexpr int64_t kPrompt = 16, kNewTokens = 32;
constexpr size_t kFewestRounds = 3, kMostRounds = 50;
constexpr double kTimedMs = 1500;  // of both models together, when the rounds allow it

double rounded(double value, double unit) { return std::round(value / unit) * unit; }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Result<uint64_t> bytes_on_disk(const TensorSource& source) {
  uint64_t bytes = 0;
  for (const std::string& path : source.files()) {
    ETTIN_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
    bytes += file.bytes().size();
  }
  return bytes;
}

// The format of each group of matrices.
Json formats_of(const ModelFolder& folder) {
  Json formats = {{"embedding", nullptr}, {"layers", nullptr}, {"head", nullptr}};
  for (const FoundTensor& found : folder.plan) {
    if (found.spec.is_norm) continue;
    const std::string& name = found.spec.name;
    Json& group = formats[name.starts_with("layers.")       ? "layers"
                          : name.starts_with("embeddings.") ? "embedding"
                                                            : "head"];
    for (const StoredMatrix& m : found.blocks) {
      const std::string_view stored = stored_name(m);
      if (group.is_null()) {
        group = stored;
      } else if (group != stored) {
        group = "mixed";
      }
    }
  }
  return formats;
}

using Timing = std::function<Result<double>(const Model&)>;

// A B A B ...: tokens a second of both, and the median of the ratios of neighbours.
Result<Json> time_in_turns(const Model& a, const Model& b, int64_t tokens, const Timing& time) {
  std::vector<double> ms_a, ms_b, ratios;
  double spent = 0;
  for (size_t round = 0; round <= kMostRounds; ++round) {
    ETTIN_ASSIGN_OR_RETURN(const double x, time(a));
    ETTIN_ASSIGN_OR_RETURN(const double y, time(b));
    if (round == 0) continue;  // a warm-up
    ms_a.push_back(x);
    ms_b.push_back(y);
    ratios.push_back(x / y);
    spent += x + y;
    if (round >= kFewestRounds && spent >= kTimedMs) break;
  }
  const auto per_second = [&](const std::vector<double>& ms) {
    return rounded(1e3 * static_cast<double>(tokens) / median(ms), 0.1);
  };
  return Json{{"tokens", tokens},
              {"rounds", ratios.size()},
              {"original_tokens_per_second", per_second(ms_a)},
              {"tokens_per_second", per_second(ms_b)},
              {"ratio", rounded(median(ratios), 1e-3)}};
}

}  // namespace

Result<Json> quantization_facts(const std::string& original, const std::string& quantized) {
  ETTIN_ASSIGN_OR_RETURN(const ModelFiles files, locate_model(original));
  ETTIN_ASSIGN_OR_RETURN(const TensorSource before, open_weights(files));
  std::vector<std::string> ignored;
  ETTIN_ASSIGN_OR_RETURN(const ModelFolder folder, open_model_folder(quantized, &ignored));
  ETTIN_ASSIGN_OR_RETURN(const WeightFormat format,
                         stored_format(folder.config, folder.source, {}));
  uint64_t data = 0;
  for (const StoredTensor& t : folder.source.tensors()) data += t.stored_bytes();
  const int64_t parameters = parameter_count(folder.config);
  Json facts = {{"model", original}, {"output", quantized}, {"kind", folder.config.arm.name}};
  facts["format"] = format_name(format);
  facts["formats"] = formats_of(folder);
  facts["parameters"] = parameters;
  facts["bits_per_weight"] =
      rounded(8.0 * static_cast<double>(data) / static_cast<double>(parameters), 1e-3);
  ETTIN_ASSIGN_OR_RETURN(facts["bytes"], bytes_on_disk(folder.source));
  ETTIN_ASSIGN_OR_RETURN(facts["original_bytes"], bytes_on_disk(before));
  return facts;
}

Result<QuantizationReport> QuantizationReport::open(const std::string& original,
                                                    const std::string& quantized,
                                                    const ModelOptions& options) {
  ModelOptions how = options;
  how.dtype = "fp32";
  how.exact_activations = false;
  ETTIN_ASSIGN_OR_RETURN(Model a, Model::load(original, how));
  how = options;
  how.dtype = "auto";
  ETTIN_ASSIGN_OR_RETURN(Model b, Model::load(quantized, how));
  QuantizationReport report(std::move(a), std::move(b));
  ETTIN_RETURN_IF_ERROR(report.add({}));  // do the models fit?
  return report;
}

Status QuantizationReport::add(std::span<const TextInput> texts) {
  std::vector<TextInput> some;
  for (const TextInput& t : texts) {
    if (t.text.find_first_not_of(" \t\r") != std::string::npos) some.push_back(t);
  }
  const Session& session = original_.session();
  for (size_t i = 0; i < some.size() && timed_tokens_ < kTimedTokens; ++i) {
    ETTIN_ASSIGN_OR_RETURN(
        const auto encodings,
        encode_inputs(session, std::span(some).subspan(i, 1), OverLength::truncate, false));
    std::vector<int32_t> ids = encodings[0].ids;
    ids.resize(std::min(ids.size(), static_cast<size_t>(kTimedTokens - timed_tokens_)));
    timed_tokens_ += static_cast<int64_t>(ids.size());
    timed_.push_back(std::move(ids));
  }
  return compare_models(session, quantized_.session(), some, &difference_);
}

Result<Json> QuantizationReport::speed() const {
  ETTIN_ASSIGN_OR_RETURN(
      Json forward, time_in_turns(original_, quantized_, timed_tokens_, [&](const Model& model) {
        return time_forward(model, timed_, 1);
      }));
  Json speed = {{"threads", original_.info().threads},
                {"original_backend", original_.info().backend},
                {"backend", quantized_.info().backend},
                {"forward", std::move(forward)}};
  const ModelInfo& info = original_.info();
  if (!original_.is_decoder() || info.max_positions < kPrompt + kNewTokens) return speed;
  const std::span<const int32_t> first = timed_[0];
  const auto prompt = first.first(std::min<size_t>(first.size(), kPrompt));
  ETTIN_ASSIGN_OR_RETURN(speed["decode"],
                         time_in_turns(original_, quantized_, kNewTokens, [&](const Model& model) {
                           return time_decode(model, prompt, kNewTokens);
                         }));
  return speed;
}

Result<Json> QuantizationReport::finish() {
  const ModelDifference& d = difference_;
  if (d.positions == 0) {
    return Status(StatusCode::invalid_argument, "the report's texts hold nothing to compare",
                  "give texts of more than one token");
  }
  Json comparison = {{"texts", d.texts}, {"truncated", d.truncated}, {"positions", d.positions}};
  comparison["method"] = original_.is_decoder()
                             ? "causal: every token"
                             : fmt::format("masked: every {}th token at once", kMaskEvery);
  comparison["top1_agreement"] = d.top1_agreement();
  comparison["mean_kl"] = d.mean_kl();
  comparison["max_kl"] = d.max_kl;
  comparison["mean_probability_change"] = d.mean_probability_change();
  comparison["original_perplexity"] = d.perplexity_original();
  comparison["perplexity"] = d.perplexity_other();
  comparison["perplexity_change"] = d.perplexity_other() / d.perplexity_original() - 1;
  Json report = {{"comparison", std::move(comparison)}};
  ETTIN_ASSIGN_OR_RETURN(report["speed"], speed());
  return report;
}

}  // namespace ettin
