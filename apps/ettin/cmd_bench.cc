// ettin bench
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "bench_cases.h"
#include "bench_floor.h"
#include "bench_report.h"
#include "bench_train.h"
#include "command.h"
#include "infer/bench_hooks.h"
#include "infer/session.h"
#include "machine.h"
#include "model_flags.h"
#include "peak_probe.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr std::string_view kEncoderCases = "1x8,1x16,1x128,1x512,1x2048,1x8192,8x128,ragged32";
constexpr std::string_view kDecoderCases = "prefill128,prefill512,decode16,decode512";

class Bench : public Command {
 public:
  CommandHelp help() const override {
    return {
        "[OPTIONS]",
        "Times the forward pass of a model: one warm-up, then at least 5 runs (2 for 2000 "
        "tokens and more) and --budget seconds. Cases: BxS, B sequences of S tokens; ragged32, "
        "32 sequences of 14 to 512 tokens; prefillP, a prompt of P tokens; decodeP, 64 tokens "
        "after a prompt of P; trainBxS, with --size, a step of training: masked language modelling "
        "of 30 % (--decoder: every next token), StableAdamW; tokenize:FILE, on one thread unless "
        "--threads is given; load, "
        "from the start of loading to ready. \"of floor\" is the best run against the time "
        "that the machine's own peaks, measured around the case, allow.",
        {"ettin bench", "ettin bench --size 32m --cases 1x128,ragged32 --threads 2",
         "ettin bench --size 150m --decoder --cases prefill512,decode512 --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.option("--cases", "LIST", "cases, separated by commas; default: what fits the model",
                 &cases_);
    flags.option("--size", "SIZE",
                 "random weights of a published size: 17m, 32m, 68m, 150m, 400m or 1b", &size_);
    flags.toggle("--decoder", "without --model: the decoder in every case", &decoder_);
    flags.choice("--head", {"0", "1", "all"},
                 "positions of each sequence that get vocabulary logits, in BxS and ragged32",
                 &head_);
    flags.option("--budget", "S", "seconds for each case", &budget_);
    flags.toggle("--no-peak", "leave the machine's peaks, and with them the floors, unmeasured",
                 &no_peak_);
    flags.toggle("--peaks",
                 "with --json: a line for each peak too, as other engines' scripts print",
                 &peak_lines_);
    flags.toggle("--json", "one object for each case", &json);
    model_.add_to(flags, kDefaultEncoder);
  }

  Status run(Console& console) override {
    if (!size_.empty() && !model_.model.empty()) {
      return Status(StatusCode::invalid_argument, "--size and --model exclude each other",
                    "leave one of them out");
    }
    if (!(budget_ >= 0 && budget_ <= 3600)) {
      return Status(StatusCode::invalid_argument, "--budget is not between 0 and 3600 seconds");
    }
    ETTIN_ASSIGN_OR_RETURN(const std::vector<BenchCase> cases, choose_cases(console));
    for (const BenchCase& c : cases) ETTIN_RETURN_IF_ERROR(run_case(console, c));
    if (!json && !peaks_.empty()) {
      console.line(console.out(Style::dim, "\npeaks: " + peak_summary(peaks_)));
    }
    return {};
  }

 private:
  Result<std::vector<BenchCase>> choose_cases(Console& console) {
    if (!cases_.empty()) return parse_bench_cases(cases_);
    ETTIN_RETURN_IF_ERROR(need_model(console, false));
    const Model& model = model_for(false);
    ETTIN_ASSIGN_OR_RETURN(std::vector<BenchCase> cases,
                           parse_bench_cases(model.is_decoder() ? kDecoderCases : kEncoderCases));
    std::erase_if(cases, [&](const BenchCase& c) {
      return *std::max_element(c.lengths.begin(), c.lengths.end()) +
                 (c.needs_decoder() ? kDecodeTokens : 0) >
             model.info().max_positions;
    });
    return cases;
  }

  // Without --model a list may mix cases of encoders and of decoders: one model for each.
  size_t slot(bool needs_decoder) const {
    return model_.model.empty() && (decoder_ || needs_decoder) ? 1 : 0;
  }
  const Model& model_for(bool needs_decoder) const { return *models_[slot(needs_decoder)]; }

  Status need_model(Console& console, bool needs_decoder) {
    const size_t at = slot(needs_decoder);
    if (models_[at]) return {};
    if (size_.empty()) {
      ETTIN_ASSIGN_OR_RETURN(Model loaded,
                             model_.load(console, at == 1 ? kDefaultDecoder : kDefaultEncoder));
      models_[at].emplace(std::move(loaded));
    } else {
      console.draw_progress(fmt::format("making random weights of size {}", size_));
      ETTIN_ASSIGN_OR_RETURN(Model made, Model::random(size_, at == 1, 1, model_.options()));
      models_[at].emplace(std::move(made));
    }
    return {};
  }

  Status run_case(Console& console, const BenchCase& c) {
    if (c.kind == BenchCase::Kind::load) return run_load(console, c);
    if (c.kind == BenchCase::Kind::train) return run_training(console, c);
    ETTIN_RETURN_IF_ERROR(need_model(console, c.needs_decoder()));
    const Model& model = model_for(c.needs_decoder());
    console.draw_progress(fmt::format("timing {}", c.name));
    const Work work = work_of(model, c, head_rows(model));
    const std::vector<Peak> before = probe(model.session().backend().threads(), work);
    Result<Json> line = time_case(model, c);
    if (!line.ok()) return line.status();
    std::vector<Peak> after;
    if (!line->contains("skipped")) {
      after = probe(model.session().backend().threads(), work);
      add_provenance(model, &*line);
      add_floor(model, work, model_.exact_activations, before, after, &*line);
    }
    return put(console, model, before, *line, after);
  }

  // Loading a folder several times, each time to the point where the first call can begin. The
  // first time is not counted: it may have read the files from the disk.
  Status run_load(Console& console, const BenchCase& c) {
    if (!size_.empty()) {
      return Status(StatusCode::unsupported, "load: random weights are made, not loaded",
                    "leave out --size, or name a model with --model");
    }
    std::optional<Model>& held = models_[slot(false)];
    const auto run = [&]() -> Result<double> {
      held.reset();
      ETTIN_RETURN_IF_ERROR(need_model(console, false));
      return held->info().load_ms;
    };
    const std::shared_ptr<ThreadPool> pool = shared_thread_pool(model_.threads);
    const std::vector<Peak> before = probe(*pool, {});
    ETTIN_ASSIGN_OR_RETURN(const Timing timing, time_runs(run, 5, budget_));
    const std::vector<Peak> after = probe(*pool, {});
    Json line = start_line(*held, c.name);
    add_timing(timing, 0, timing.median_ms, &line);
    add_provenance(*held, &line);
    add_floor(*held, {}, model_.exact_activations, before, after, &line);
    return put(console, *held, before, line, after);
  }

  Status run_training(Console& console, const BenchCase& c) {
    if (size_.empty()) {
      return Status(StatusCode::invalid_argument, fmt::format("{} needs a size", c.name),
                    "add --size 17m");
    }
    const Arm arm = decoder_ ? kDecoder : kEncoder;
    if (model_.dtype != "auto" && model_.dtype != "fp32" && model_.dtype != "bf16") {
      return Status(StatusCode::unsupported,
                    fmt::format("training computes in fp32 or bf16, not in {:.20}", model_.dtype),
                    "add --dtype bf16");
    }
    const WeightFormat format = model_.dtype == "bf16" ? WeightFormat::bf16 : WeightFormat::f32;
    ETTIN_ASSIGN_OR_RETURN(
        TrainingBench bench,
        TrainingBench::make({size_, arm, format, model_.backend, model_.threads}, c));
    console.draw_progress(fmt::format("timing {}", c.name));
    ThreadPool& pool = bench.backend().threads();
    const std::vector<Peak> before = probe(pool, {});
    ETTIN_ASSIGN_OR_RETURN(
        const Timing timing,
        time_runs([&]() -> Result<double> { return bench.step_ms(); }, 3, budget_));
    const std::vector<Peak> after = probe(pool, {});
    console.draw_progress("");
    Json line = {{"engine", "ettin"},
                 {"model", size_},
                 {"case", c.name},
                 {"variant", format_name(bench.backend().format())},
                 {"threads", pool.size()}};
    add_timing(timing, c.tokens(), 0, &line);
    line["arm"] = arm.name;
    line["targets"] = bench.targets();
    line["activation_mb"] = rounded(static_cast<double>(bench.activation_bytes()) / 1048576);
    line["loss"] = bench.loss();
    add_machine(bench.backend(), &line);
    // A backward pass takes twice the arithmetic of its forward.
    add_arithmetic_floor(3 * forward_flop(bench.config(), c.lengths, bench.targets()),
                         bench.backend().format(), before, after, &line);
    if (json) {
      console.line(dump_json(line));
    } else {
      console.line(table_head(console));
      console.line(table_row(console, line));
    }
    return console.flush();
  }

  // Peaks at the sizes that matter to `work`; none with --no-peak.
  std::vector<Peak> probe(ThreadPool& pool, const Work& work) {
    if (no_peak_) return {};
    std::vector<int64_t> sets = {kMemoryMiB};
    if (const int64_t own = read_mib(work.set_bytes); work.bytes > 0 && own != kMemoryMiB) {
      sets.push_back(own);
    }
    memory_.pause();
    std::vector<Peak> peaks = measure_peaks(pool, sets);
    memory_.resume();
    peaks_.insert(peaks_.end(), peaks.begin(), peaks.end());
    return peaks;
  }

  Status put(Console& console, const Model& model, std::span<const Peak> before, const Json& line,
             std::span<const Peak> after) {
    console.draw_progress("");
    if (json) {
      if (peak_lines_) {
        for (const Peak& peak : before) console.line(dump_json(peak_line(peak)));
      }
      console.line(dump_json(line));
      if (peak_lines_) {
        for (const Peak& peak : after) console.line(dump_json(peak_line(peak)));
      }
    } else {
      show(console, line, model);
    }
    return console.flush();
  }

  int head_rows(const Model& model) const {
    if (model.info().head != "language_model") return 0;
    return head_ == "all" ? -1 : head_ == "1" ? 1 : 0;
  }

  static Json start_line(const Model& model, const std::string& name) {
    const ModelInfo& info = model.info();
    return {{"engine", "ettin"},
            {"model", size_name(info)},
            {"case", name},
            {"variant", info.dtype},
            {"threads", info.threads}};
  }

  // A case that cannot run is an answer, "skipped"; anything else that goes wrong is an error.
  Result<Json> time_case(const Model& model, const BenchCase& c) const {
    if (c.kind == BenchCase::Kind::tokenize) return time_tokenizer(model, c);
    const ModelInfo& info = model.info();
    Json line = start_line(model, c.name);
    const int head = head_rows(model);
    std::vector<std::vector<int32_t>> sequences;
    for (size_t i = 0; i < c.lengths.size(); ++i) {
      if (c.lengths[i] > info.max_positions) {
        line["skipped"] =
            fmt::format("{} tokens; this model reads at most {}", c.lengths[i], info.max_positions);
        return line;
      }
      sequences.push_back(bench_sequence(static_cast<int64_t>(i), c.lengths[i], info.vocab_size));
    }
    const auto run = [&]() -> Result<double> {
      switch (c.kind) {
        case BenchCase::Kind::prefill:
          return time_prefill(model, sequences[0]);
        case BenchCase::Kind::decode:
          return time_decode(model, sequences[0], kDecodeTokens);
        default:
          return time_forward(model, sequences, head);
      }
    };
    const size_t least = c.tokens() >= 2000 ? 2 : 5;
    const Result<Timing> timing = time_runs(run, least, budget_);
    if (!timing.ok()) {
      const StatusCode code = timing.status().code();
      if (code != StatusCode::unsupported && code != StatusCode::too_long) return timing.status();
      line["skipped"] = timing.status().message();
      return line;
    }
    add_timing(*timing, c.tokens(), info.load_ms, &line);
    if (!c.needs_decoder()) {
      ETTIN_RETURN_IF_ERROR(check_forward(model, sequences));
      line["head"] = head < 0 ? Json("all") : Json(head);
    }
    return line;
  }

  void add_timing(const Timing& timing, int64_t tokens, double load_ms, Json* line) const {
    (*line)["median_ms"] = rounded(timing.median_ms);
    (*line)["min_ms"] = rounded(timing.min_ms);
    (*line)["runs"] = timing.runs;
    (*line)["tokens"] = tokens;
    (*line)["rss_mb"] = memory_.mib();
    (*line)["load_ms"] = rounded(load_ms);
  }

  // Ids of whole documents, without special tokens; every document on one thread.
  Result<Json> time_tokenizer(const Model& model, const BenchCase& c) const {
    constexpr size_t kMostBytes = size_t{1} << 30;
    if (!model.session().has_tokenizer()) {
      return Status(StatusCode::unsupported,
                    fmt::format("{}: random models have no tokenizer", c.name),
                    "leave out --size, or name a model with --model");
    }
    ETTIN_ASSIGN_OR_RETURN(const std::string text, read_file(c.file, kMostBytes));
    const std::vector<std::string> documents = cut_documents(text);
    const Tokenizer& tokenizer = model.session().tokenizer();
    ThreadPool& pool = model.session().backend().threads();
    const int threads = model_.threads == 0 ? 1 : pool.size();
    std::atomic<int64_t> tokens = 0;
    const auto run = [&]() -> Result<double> {
      EncodeOptions options;
      options.add_special_tokens = false;
      tokens = 0;
      const auto encode = [&](const std::string& document) {
        tokens += static_cast<int64_t>(tokenizer.encode(document, options).ids.size());
      };
      const auto start = std::chrono::steady_clock::now();
      if (threads == 1) {
        for (const std::string& document : documents) encode(document);
      } else {
        pool.parallel_for(static_cast<int64_t>(documents.size()),
                          [&](int64_t i, int) { encode(documents[static_cast<size_t>(i)]); });
      }
      const std::chrono::duration<double, std::milli> passed =
          std::chrono::steady_clock::now() - start;
      return passed.count();
    };
    ETTIN_ASSIGN_OR_RETURN(const Timing timing, time_runs(run, 3, budget_));
    Json line = {{"engine", "ettin"},
                 {"model", "tokenizer"},
                 {"case", fmt::format("tokenize:{}", c.file.substr(c.file.rfind('/') + 1))},
                 {"variant", "encode"},
                 {"threads", threads}};
    add_timing(timing, tokens, model.info().load_ms, &line);
    line["bytes"] = text.size();
    if (timing.median_ms > 0) {
      line["mb_per_s"] = rounded(static_cast<double>(text.size()) / 1e3 / timing.median_ms);
    }
    return line;
  }

  void show(Console& console, const Json& line, const Model& model) {
    const ModelInfo& info = model.info();
    if (shown_ != &model) {
      if (shown_ != nullptr) console.line();
      shown_ = &model;
      console.line(console.out(Style::bold,
                               fmt::format("{}, {}, {} parameters", size_name(info), info.kind,
                                           readable_count(static_cast<double>(info.parameters)))));
      console.line(fmt::format("{}, {}, {} thread{}, {} in {}\n", info.backend, info.dtype,
                               info.threads, info.threads == 1 ? "" : "s",
                               size_.empty() ? "loaded" : "made", readable_ms(info.load_ms)));
      console.line(table_head(console));
    }
    console.line(table_row(console, line));
  }

  std::string cases_, size_, head_ = "1";
  bool decoder_ = false;
  double budget_ = 0.6;
  ModelFlags model_;
  std::optional<Model> models_[2];  // --model alone, or encoder and decoder
  const Model* shown_ = nullptr;
  bool no_peak_ = false, peak_lines_ = false;
  std::vector<Peak> peaks_;  // of all cases
  MemoryMeter memory_;
};

}  // namespace

std::unique_ptr<Command> make_bench() { return std::make_unique<Bench>(); }

}  // namespace ettin::cli
