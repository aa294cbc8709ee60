// ettin bench
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "bench_cases.h"
#include "command.h"
#include "infer/bench_hooks.h"
#include "infer/session.h"
#include "model_flags.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr std::string_view kEncoderCases = "1x8,1x16,1x128,1x512,1x2048,1x8192,8x128,ragged32";
constexpr std::string_view kDecoderCases = "prefill128,prefill512,decode16,decode512";

// Largest resident memory of the process so far, as getrusage() counts it: MiB.
int64_t rss_mb() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

double rounded(double ms) { return std::round(ms * 1e3) / 1e3; }

// "32m" for the published shapes, else the name of the folder.
std::string size_name(const ModelInfo& info) {
  struct Shape {
    int64_t layers, hidden;
    const char* name;
  };
  for (const Shape& s : {Shape{7, 256, "17m"}, Shape{10, 384, "32m"}, Shape{19, 512, "68m"},
                         Shape{22, 768, "150m"}, Shape{28, 1024, "400m"}, Shape{28, 1792, "1b"}}) {
    if (info.layers == s.layers && info.hidden_size == s.hidden) return s.name;
  }
  const size_t end = info.directory.find_last_not_of('/');
  const std::string path = info.directory.substr(0, end + 1);
  return path.substr(path.rfind('/') + 1);
}

class Bench : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS]",
            "Times the forward pass of a model: one warm-up, then at least 5 runs (2 for 2000 "
            "tokens and more) and --budget seconds. Cases: BxS, B sequences of S tokens; ragged32, "
            "32 sequences of 14 to 512 tokens; prefillP, a prompt of P tokens; decodeP, 64 tokens "
            "after a prompt of P; tokenize:FILE.",
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
    for (const BenchCase& c : cases) {
      ETTIN_RETURN_IF_ERROR(need_model(console, c.needs_decoder()));
      console.draw_progress(fmt::format("timing {}", c.name));
      const Result<Json> line = time_case(model_for(c.needs_decoder()), c);
      console.draw_progress("");
      if (!line.ok()) return line.status();
      if (json) {
        console.line(dump_json(*line));
      } else {
        show(console, *line, model_for(c.needs_decoder()));
      }
      ETTIN_RETURN_IF_ERROR(console.flush());
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

  // A case that cannot run is an answer, "skipped"; anything else that goes wrong is an error.
  Result<Json> time_case(const Model& model, const BenchCase& c) const {
    if (c.kind == BenchCase::Kind::tokenize) return time_tokenizer(model, c);
    const ModelInfo& info = model.info();
    Json line = {{"engine", "ettin"},
                 {"model", size_name(info)},
                 {"case", c.name},
                 {"variant", info.dtype},
                 {"threads", info.threads}};
    const auto head = info.head == "language_model" ? head_ : std::string("0");
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
          return time_forward(model, sequences, head == "all" ? -1 : head == "1" ? 1 : 0);
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
    if (!c.needs_decoder()) line["head"] = head == "all" ? Json("all") : Json(head == "1" ? 1 : 0);
    return line;
  }

  static void add_timing(const Timing& timing, int64_t tokens, double load_ms, Json* line) {
    (*line)["median_ms"] = rounded(timing.median_ms);
    (*line)["min_ms"] = rounded(timing.min_ms);
    (*line)["runs"] = timing.runs;
    (*line)["tokens"] = tokens;
    (*line)["rss_mb"] = rss_mb();
    (*line)["load_ms"] = rounded(load_ms);
  }

  // Ids of whole documents, without special tokens, one after the other on one thread.
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
    int64_t tokens = 0;
    const auto run = [&]() -> Result<double> {
      EncodeOptions options;
      options.add_special_tokens = false;
      tokens = 0;
      const auto start = std::chrono::steady_clock::now();
      for (const std::string& document : documents) {
        tokens += static_cast<int64_t>(tokenizer.encode(document, options).ids.size());
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
                 {"threads", 1}};
    add_timing(timing, tokens, model.info().load_ms, &line);
    line["bytes"] = text.size();
    if (timing.median_ms > 0) {
      line["mb_per_s"] = rounded(static_cast<double>(text.size()) / 1e3 / timing.median_ms);
    }
    return line;
  }

  void show(Console& console, const Json& line, const Model& model) {
    constexpr int kCaseColumns = 22;
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
      console.line(console.out(
          Style::dim, fmt::format("{}{:>11}{:>11}{:>12}{:>7}{:>8}", pad_right("case", kCaseColumns),
                                  "median", "best", "tokens/s", "runs", "MB")));
    }
    const std::string name =
        pad_right(shorten(line.value("case", ""), kCaseColumns - 1, console.utf8()), kCaseColumns);
    if (line.contains("skipped")) {
      console.line(name +
                   console.out(Style::dim, fmt::format("skipped: {}", line.value("skipped", ""))));
      return;
    }
    const double median = line.value("median_ms", 0.0);
    const double rate = median > 0 ? line.value("tokens", 0.0) / median * 1e3 : 0;
    console.line(fmt::format("{}{:>11}{:>11}{:>12}{:>7}{:>8}", name, readable_ms(median),
                             readable_ms(line.value("min_ms", 0.0)),
                             with_commas(std::llround(rate)), line.value("runs", 0),
                             line.value("rss_mb", 0)));
  }

  std::string cases_, size_, head_ = "1";
  bool decoder_ = false;
  double budget_ = 0.6;
  ModelFlags model_;
  std::optional<Model> models_[2];  // --model alone, or encoder and decoder
  const Model* shown_ = nullptr;
};

}  // namespace

std::unique_ptr<Command> make_bench() { return std::make_unique<Bench>(); }

}  // namespace ettin::cli
