// ettin verify
#include <cmath>

#include <fmt/format.h>

#include "command.h"
#include "infer/locate_model.h"
#include "infer/parity.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_reader.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

constexpr size_t kTextsAtOnce = 64;

class Verify : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] MODEL --against FOLDER --texts FILE",
            "Checks that two copies of a model give the same answers: the same tokens of every "
            "text, logits at every token within a bound, the same likeliest tokens. Both compute "
            "in fp32. The bound on the largest difference, as a share of the largest logit, is "
            "1e-4 plus 8 times what the number formats of the two files round a weight by; that on "
            "the likeliest tokens follows from the formats too. Ends with 0 when they agree, with "
            "1 when they do not.",
            {"ettin verify my-export --against original --texts my-texts.txt",
             "ettin verify small --against ettin-encoder-32m --texts t.jsonl --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&folders_, 1);
    flags.option("--against", "FOLDER", "the copy to compare with", &against_);
    flags.option("--texts", "FILE", "texts, one a line; a .jsonl file has a \"text\" field",
                 &texts_);
    flags.option("--top-k", "K", "likeliest tokens that are compared at every token", &top_k_);
    flags.option("--tolerance", "X", "bound on the logits in place of the formats' own",
                 &tolerance_);
    flags.toggle("--json", "everything as one object", &json);
    flags.group("how to compute");
    flags.option("--threads", "N", "threads; 0: the CPUs this process may run on", &model_.threads);
    flags.choice("--backend", {"cpu", "ref"}, "cpu, or ref: slow, the definition of correctness",
                 &model_.backend);
  }

  Status run(Console& console) override {
    ETTIN_RETURN_IF_ERROR(check_arguments());
    ETTIN_ASSIGN_OR_RETURN(std::string a, find_model(console, folders_[0]));
    ETTIN_ASSIGN_OR_RETURN(std::string b, find_model(console, against_));
    ETTIN_ASSIGN_OR_RETURN(TextReader reader, TextReader::open_file(texts_));
    ETTIN_RETURN_IF_ERROR(read_formats(&a, &b));
    ModelOptions how = model_.options();
    how.dtype = "fp32";
    ETTIN_ASSIGN_OR_RETURN(const Model x, Model::load(a, how));
    ETTIN_ASSIGN_OR_RETURN(const Model y, Model::load(b, how));
    Parity parity;
    {
      Progress progress(console);
      for (;;) {
        ETTIN_ASSIGN_OR_RETURN(const std::vector<Record> records, reader.next(kTextsAtOnce));
        if (records.empty()) break;
        std::vector<TextInput> inputs;
        for (const Record& record : records) inputs.push_back(record.input);
        ETTIN_RETURN_IF_ERROR(compare_outputs(x.session(), y.session(), inputs, top_k_, &parity));
        progress.show(static_cast<size_t>(parity.texts), reader.fraction());
      }
    }
    if (parity.rows == 0 && parity.other_tokens == 0) {
      return Status(StatusCode::invalid_argument, texts_ + ": holds nothing to compare",
                    "give a file with a text on each line");
    }
    differs = !within(bounds_, parity);
    if (json) {
      console.line(dump_json(document(parity)));
    } else {
      show(console, parity);
    }
    return {};
  }

 private:
  Status check_arguments() const {
    if (folders_.size() != 1 || against_.empty() || texts_.empty()) {
      return Status(StatusCode::invalid_argument,
                    "verify needs a MODEL, --against FOLDER and --texts FILE",
                    "give two copies of a model and a file of texts");
    }
    if (top_k_ < 1 || top_k_ > 1000) {
      return Status(StatusCode::invalid_argument, "--top-k must be 1 to 1000");
    }
    if (tolerance_ && !(*tolerance_ >= 0)) {
      return Status(StatusCode::invalid_argument, "--tolerance must be 0 or more");
    }
    return {};
  }

  // Of folders with several ONNX files the paths become those of the files that are compared.
  Status read_formats(std::string* a, std::string* b) {
    std::vector<std::string> ignored;  // loading says them again
    ETTIN_ASSIGN_OR_RETURN(const ModelFolder of_a, open_model_folder(*a, &ignored));
    ETTIN_ASSIGN_OR_RETURN(const ModelFolder of_b, open_model_folder(*b, &ignored));
    *a = weights_path(of_a, *a);
    *b = weights_path(of_b, *b);
    stored_ = coarsest_stored(of_a);
    stored_against_ = coarsest_stored(of_b);
    bounds_ = parity_bounds(of_a, of_b);
    if (tolerance_) bounds_.relative = *tolerance_;
    return {};
  }

  static double share(int64_t part, int64_t all) {
    return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
  }

  static double mean(const Parity& p) {
    return p.values == 0 ? 0 : p.sum_of_differences / static_cast<double>(p.values);
  }

  Json document(const Parity& p) const {
    const auto finite = [](double v) { return std::isfinite(v) ? Json(v) : Json("infinite"); };
    Json all = {{"model", folders_[0]},
                {"against", against_},
                {"agree", !differs},
                {"stored", stored_},
                {"stored_against", stored_against_}};
    all["texts"] = p.texts;
    all["tokens"] = p.tokens;
    all["texts_with_other_tokens"] = p.other_tokens;
    if (p.first_tokens) {
      all["first_other_token"] = {{"text", p.first_tokens->text},
                                  {"position", p.first_tokens->position},
                                  {"id", p.first_tokens->id_a},
                                  {"id_against", p.first_tokens->id_b}};
    }
    all["compared"] = p.what;
    all["rows"] = p.rows;
    all["max_difference"] = finite(p.max_difference);
    all["mean_difference"] = finite(mean(p));
    all["largest"] = finite(p.largest);
    all["relative"] = finite(p.relative());
    all["bound"] = bounds_.relative;
    all["top_k"] = top_k_;
    all["bound_top_1"] = 1 - bounds_.other_top_1;
    all["same_top_1"] = share(p.same_top_1, p.rows);
    all["same_top_k"] = share(p.same_top_k, p.rows);
    all["same_order"] = share(p.same_order, p.rows);
    return all;
  }

  void show(Console& console, const Parity& p) const {
    const auto row = [&](std::string_view key, const std::string& value) {
      console.line(fmt::format("  {}{}", pad_right(key, 20), value));
    };
    console.line(differs ? console.out(Style::red, "FAIL") : console.out(Style::green, "PASS"));
    row("texts", fmt::format("{}, {} tokens", with_commas(p.texts), with_commas(p.tokens)));
    row("tokens", p.other_tokens == 0
                      ? "the same"
                      : fmt::format("differ in {} texts", with_commas(p.other_tokens)));
    if (p.first_tokens) {
      const TokenDifference& t = *p.first_tokens;
      const auto id = [](int32_t i) { return i < 0 ? std::string("the end") : fmt::to_string(i); };
      row("", fmt::format("first in text {}, token {}: {} and {}", t.text + 1, t.position + 1,
                          id(t.id_a), id(t.id_b)));
    }
    if (p.rows == 0) return;
    row(p.what, fmt::format("at most {:.2e} apart, {:.2e} on average", p.max_difference, mean(p)));
    row("relative", fmt::format("{:.2e} of the largest, {:.3g}; the bound is {:.2e}", p.relative(),
                                p.largest, bounds_.relative));
    row("formats", fmt::format("{} and {}", stored_, stored_against_));
    if (p.what == kLogits) {
      row("same likeliest",
          fmt::format("{:.2f} %; the bound is {:.1f} %", 100 * share(p.same_top_1, p.rows),
                      100 * (1 - bounds_.other_top_1)));
      row(fmt::format("same top {}", top_k_),
          fmt::format("{:.2f} %, in order {:.2f} %", 100 * share(p.same_top_k, p.rows),
                      100 * share(p.same_order, p.rows)));
    }
  }

  std::vector<std::string> folders_;
  std::string against_, texts_;
  int64_t top_k_ = 5;
  std::optional<double> tolerance_;
  ParityBounds bounds_;
  std::string_view stored_, stored_against_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_verify() { return std::make_unique<Verify>(); }

}  // namespace ettin::cli
