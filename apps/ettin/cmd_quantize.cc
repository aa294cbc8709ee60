// ettin quantize
#include <fmt/format.h>

#include "base/file.h"
#include "command.h"
#include "infer/quantize.h"
#include "infer/quantize_report.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_reader.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

constexpr std::string_view kReportFile = "quantization_report.json";
constexpr size_t kTextsAtOnce = 64;

double number(const Json& object, const char* key) { return object.value(key, 0.0); }

class Quantize : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] MODEL OUT",
            "Writes a copy of a model with its matrices in a smaller number format. Every command "
            "loads the copy and computes in that format. With --report both models read your texts "
            "and the copy is compared with the fp32 original: a decoder at every token, an encoder "
            "behind masks (every 7th token of a text at once, beginning with token n % 7 in text "
            "n). The report is also kept in OUT as quantization_report.json.",
            {"ettin quantize ettin-encoder-32m small --dtype q8",
             "ettin quantize DIR small --dtype q4 --report my-texts.txt",
             "ettin quantize DIR small --report texts.jsonl --report-only --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&folders_, 2);
    flags.option("--dtype", "FORMAT", "bf16, q8 (int8) or q4", &dtype_);
    flags.option("--report", "FILE",
                 "compare on these texts, one a line; a .jsonl file has a \"text\" field",
                 &report_);
    flags.toggle("--report-only", "OUT is there already: compare, write no model", &report_only_);
    flags.toggle("--force", "replace the model in OUT", &force_);
    flags.toggle("--allow-extra-tensors", "leave out tensors that nothing uses",
                 &model_.allow_extra_tensors);
    flags.toggle("--json", "sizes, formats and the report as one object", &json);
    flags.group("the report's runs");
    flags.option("--threads", "N", "threads; 0: the CPUs this process may run on", &model_.threads);
    flags.choice("--backend", {"cpu", "ref"}, "cpu, or ref: slow, the definition of correctness",
                 &model_.backend);
    flags.toggle("--exact-activations", "round only the copy's weights, not what they multiply",
                 &model_.exact_activations);
  }

  Status run(Console& console) override {
    if (folders_.size() != 2) {
      return Status(StatusCode::invalid_argument, "quantize needs two folders: MODEL and OUT",
                    "give the model's folder or name, then the folder to write");
    }
    if (report_only_ && report_.empty()) {
      return Status(StatusCode::invalid_argument, "--report-only needs --report FILE");
    }
    ETTIN_ASSIGN_OR_RETURN(const std::string from, find_model(console, folders_[0]));
    const std::string& to = folders_[1];
    // A file of texts that cannot be opened is found before the work.
    if (!report_.empty()) ETTIN_RETURN_IF_ERROR(TextReader::open_file(report_).status());
    if (!report_only_) ETTIN_RETURN_IF_ERROR(write_model(console, from, to));
    ETTIN_ASSIGN_OR_RETURN(Json facts, quantization_facts(from, to));
    if (!report_.empty()) {
      ETTIN_RETURN_IF_ERROR(compare(console, from, to, &facts));
      ETTIN_RETURN_IF_ERROR(
          write_file_atomic(join_path(to, kReportFile), dump_json(facts, 2) + "\n"));
    }
    if (json) {
      console.line(dump_json(facts));
    } else {
      show(console, facts);
    }
    return {};
  }

 private:
  Status write_model(Console& console, const std::string& from, const std::string& to) const {
    const std::optional<WeightFormat> format = format_from_name(dtype_);
    if (!format || *format < WeightFormat::bf16) {
      return Status(StatusCode::invalid_argument,
                    dtype_.empty() ? std::string("--dtype says what to quantise to")
                                   : fmt::format("cannot quantise to \"{}\"", dtype_),
                    "choose bf16, q8 (or int8) or q4");
    }
    QuantizeOptions options;
    options.format = *format;
    options.force = force_;
    options.allow_extra_tensors = model_.allow_extra_tensors;
    console.draw_progress(fmt::format("writing {}", to));
    const Status status = quantize_folder(from, to, options);
    console.draw_progress("");
    return status;
  }

  Status compare(Console& console, const std::string& from, const std::string& to,
                 Json* facts) const {
    console.draw_progress("loading both models");
    ETTIN_ASSIGN_OR_RETURN(QuantizationReport report,
                           QuantizationReport::open(from, to, model_.options()));
    ETTIN_ASSIGN_OR_RETURN(TextReader reader, TextReader::open_file(report_));
    Progress progress(console);
    for (size_t done = 0;;) {
      ETTIN_ASSIGN_OR_RETURN(const std::vector<Record> records, reader.next(kTextsAtOnce));
      if (records.empty()) break;
      std::vector<TextInput> inputs;
      for (const Record& record : records) inputs.push_back(record.input);
      ETTIN_RETURN_IF_ERROR(report.add(inputs));
      done += records.size();
      progress.show(done, reader.fraction());
    }
    console.draw_progress("timing both models");
    ETTIN_ASSIGN_OR_RETURN(const Json sections, report.finish());
    facts->update(sections);
    return {};
  }

  static void row(Console& console, std::string_view key, std::string_view value) {
    constexpr int kKeyColumns = 22;
    console.line(fmt::format("  {}{}", pad_right(key, kKeyColumns), value));
  }

  static void show(Console& console, const Json& facts) {
    console.line(console.out(Style::bold, printable(facts.value("output", ""))));
    const Json& formats = facts["formats"];
    row(console, "format",
        fmt::format("{} (embedding {}, layers {}, head {})", facts.value("format", ""),
                    text_of(formats, "embedding"), text_of(formats, "layers"),
                    text_of(formats, "head")));
    const double bytes = number(facts, "bytes"), original = number(facts, "original_bytes");
    row(console, "weights",
        fmt::format("{}; the original has {} ({:.2f} x)", readable_bytes(bytes),
                    readable_bytes(original), original / bytes));
    row(console, "bits per weight", fmt::format("{:.2f}", number(facts, "bits_per_weight")));
    if (!facts.contains("comparison")) return;
    console.line();
    console.line(console.out(Style::bold, "against the fp32 original"));
    const Json& c = facts["comparison"];
    row(console, "positions",
        fmt::format("{} in {} texts ({})", with_commas(c.value("positions", int64_t{0})),
                    with_commas(c.value("texts", int64_t{0})), c.value("method", "")));
    row(console, "same likeliest token",
        fmt::format("{:.2f} %", 100 * number(c, "top1_agreement")));
    row(console, "divergence",
        fmt::format("{:.2e} nats on average, {:.2e} at most", number(c, "mean_kl"),
                    number(c, "max_kl")));
    row(console, "probability change",
        fmt::format("{:.2e} on average, of the true token", number(c, "mean_probability_change")));
    row(console, facts.value("kind", "") == "decoder" ? "perplexity" : "pseudo-perplexity",
        fmt::format("{:.3f}; the original's is {:.3f} ({:+.2f} %)", number(c, "perplexity"),
                    number(c, "original_perplexity"), 100 * number(c, "perplexity_change")));
    for (const char* what : {"forward", "decode"}) {
      const Json* s = json_member(facts["speed"], what);
      if (s == nullptr) continue;
      row(console, fmt::format("tokens/s, {}", what),
          fmt::format("{:.0f}; the original gives {:.0f} ({:.2f} x)",
                      number(*s, "tokens_per_second"), number(*s, "original_tokens_per_second"),
                      number(*s, "ratio")));
    }
  }

  static std::string text_of(const Json& object, const char* key) {
    const Json* value = json_member(object, key);
    return value != nullptr && value->is_string() ? value->get<std::string>() : "none";
  }

  std::vector<std::string> folders_;
  std::string dtype_, report_;
  bool report_only_ = false, force_ = false;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_quantize() { return std::make_unique<Quantize>(); }

}  // namespace ettin::cli
