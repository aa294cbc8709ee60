// ettin diff
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "command.h"
#include "infer/compare_models.h"
#include "infer/diff_weights.h"
#include "infer/locate_model.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_reader.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

constexpr size_t kShown = 12;  // tensors, without --all
constexpr size_t kTextsAtOnce = 64;

// 0 as "0", so that it stands out.
std::string small_number(double value) { return value == 0 ? "0" : fmt::format("{:.2e}", value); }

// JSON has no infinity.
Json finite(double value) { return std::isfinite(value) ? Json(value) : Json("infinite"); }

class Diff : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] A B",
            "Compares two models tensor by tensor, under whatever names and in whatever number "
            "format each stores them: q, k and v in one matrix or in three, one file or shards. "
            "With --texts also what they answer: a decoder at every token, an encoder behind "
            "masks. Ends with 0 when all values are equal, with 1 when something differs.",
            {"ettin diff checkpoint-1000 checkpoint-2000",
             "ettin diff ettin-encoder-32m small --texts my-texts.txt",
             "ettin diff DIR DIR-as-fp16 --tolerance 1e-3 --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&folders_, 2);
    flags.option("--tolerance", "X", "values that are so close count as equal", &tolerance_);
    flags.toggle("--all", "every tensor, in the order of the network; else the worst", &all_);
    flags.option("--texts", "FILE",
                 "compare answers on these texts, one a line; a .jsonl file has a \"text\" field",
                 &texts_);
    flags.toggle("--json", "everything as one object", &json);
    flags.group("how to compute");
    flags.option("--threads", "N", "threads; 0: the CPUs this process may run on", &model_.threads);
    flags.choice("--backend", {"cpu", "ref"}, "cpu, or ref: slow, the definition of correctness",
                 &model_.backend);
  }

  Status run(Console& console) override {
    if (folders_.size() != 2) {
      return Status(StatusCode::invalid_argument, "diff needs two models: A and B",
                    "give two folders or names");
    }
    if (!(tolerance_ >= 0)) {
      return Status(StatusCode::invalid_argument, "--tolerance must be 0 or more");
    }
    ETTIN_ASSIGN_OR_RETURN(const std::string a, find_model(console, folders_[0]));
    ETTIN_ASSIGN_OR_RETURN(const std::string b, find_model(console, folders_[1]));
    if (!texts_.empty()) ETTIN_RETURN_IF_ERROR(TextReader::open_file(texts_).status());
    std::vector<std::string> warnings;
    ETTIN_ASSIGN_OR_RETURN(const ModelFolder of_a, open_model_folder(a, &warnings));
    ETTIN_ASSIGN_OR_RETURN(const ModelFolder of_b, open_model_folder(b, &warnings));
    for (const std::string& warning : warnings) console.notice(warning);
    const auto threads = shared_thread_pool(model_.threads);
    const WeightsDifference weights = diff_weights(of_a, of_b, *threads);
    ModelDifference answers;
    if (!texts_.empty())
      ETTIN_RETURN_IF_ERROR(
          compare_answers(console, weights_path(of_a, a), weights_path(of_b, b), &answers));
    differs = !weights.equal(tolerance_);
    if (json) {
      console.line(dump_json(document(weights, answers)));
    } else {
      show(console, weights, answers);
    }
    return {};
  }

 private:
  Status compare_answers(Console& console, const std::string& a, const std::string& b,
                         ModelDifference* sum) const {
    ModelOptions how = model_.options();
    how.dtype = "fp32";
    ETTIN_ASSIGN_OR_RETURN(const Model x, Model::load(a, how));
    ETTIN_ASSIGN_OR_RETURN(const Model y, Model::load(b, how));
    ETTIN_ASSIGN_OR_RETURN(TextReader reader, TextReader::open_file(texts_));
    Progress progress(console);
    for (size_t done = 0;;) {
      ETTIN_ASSIGN_OR_RETURN(const std::vector<Record> records, reader.next(kTextsAtOnce));
      if (records.empty()) return {};
      std::vector<TextInput> inputs;
      for (const Record& record : records) inputs.push_back(record.input);
      ETTIN_RETURN_IF_ERROR(compare_models(x.session(), y.session(), inputs, sum));
      done += records.size();
      progress.show(done, reader.fraction());
    }
  }

  // What is to be said of the tensors, and of the settings where they differ.
  std::string verdict(const WeightsDifference& d) const {
    return of_tensors(d) + (d.settings.empty() ? "" : ", and the settings differ");
  }

  std::string of_tensors(const WeightsDifference& d) const {
    if (!d.only_a.empty() || !d.only_b.empty() || !d.other_shape.empty()) {
      return "the models do not have the same tensors";
    }
    if (d.worst() == nullptr) {
      const bool same_types = std::all_of(d.tensors.begin(), d.tensors.end(),
                                          [](const auto& t) { return t.stored_a == t.stored_b; });
      return same_types ? "all values are equal" : "all values are equal, stored in other types";
    }
    return d.equal_tensors(tolerance_) ? "equal within the tolerance" : "the values differ";
  }

  Json document(const WeightsDifference& d, const ModelDifference& answers) const {
    Json all = {{"a", folders_[0]},
                {"b", folders_[1]},
                {"equal", !differs},
                {"tolerance", tolerance_},
                {"verdict", verdict(d)}};
    all["settings"] = Json::array();
    for (const SettingDifference& s : d.settings) {
      all["settings"].push_back({{"key", s.key}, {"a", s.a}, {"b", s.b}});
    }
    all["only_a"] = d.only_a;
    all["only_b"] = d.only_b;
    all["other_shape"] = d.other_shape;
    all["tensors"] = Json::array();
    for (const TensorDifference& t : d.tensors) {
      all["tensors"].push_back({{"name", t.name},
                                {"stored_a", t.stored_a},
                                {"stored_b", t.stored_b},
                                {"elements", t.elements},
                                {"differing", t.differing},
                                {"max_difference", finite(t.max_difference)},
                                {"relative", finite(t.relative())},
                                {"cosine", finite(t.cosine)}});
    }
    if (!texts_.empty()) {
      all["answers"] = {{"texts", answers.texts},
                        {"positions", answers.positions},
                        {"top1_agreement", answers.top1_agreement()},
                        {"mean_kl", answers.mean_kl()},
                        {"max_kl", answers.max_kl},
                        {"mean_probability_change", answers.mean_probability_change()},
                        {"perplexity_a", answers.perplexity_original()},
                        {"perplexity_b", answers.perplexity_other()}};
    }
    return all;
  }

  void show(Console& console, const WeightsDifference& d, const ModelDifference& answers) const {
    console.line(console.out(Style::bold, verdict(d)));
    for (const SettingDifference& s : d.settings) {
      console.line(fmt::format("  {}: {} and {}", s.key, printable(s.a), printable(s.b)));
    }
    list(console, "only in A", d.only_a);
    list(console, "only in B", d.only_b);
    list(console, "of another shape", d.other_shape);
    if (const TensorDifference* worst = d.worst()) {
      console.line(fmt::format("  most in {}: {} of its largest value", worst->name,
                               small_number(worst->relative())));
    }
    show_tensors(console, d);
    if (texts_.empty()) return;
    console.line();
    console.line(console.out(
        Style::bold, fmt::format("answers at {} positions of {} texts",
                                 with_commas(answers.positions), with_commas(answers.texts))));
    console.line(fmt::format("  same likeliest token  {:.2f} %", 100 * answers.top1_agreement()));
    console.line(fmt::format("  divergence            {} nats on average, {} at most",
                             small_number(answers.mean_kl()), small_number(answers.max_kl)));
    console.line(fmt::format("  perplexity            {:.3f} and {:.3f}",
                             answers.perplexity_original(), answers.perplexity_other()));
  }

  static void list(Console& console, std::string_view what, const std::vector<std::string>& names) {
    if (names.empty()) return;
    console.line(fmt::format("  {} {}:", names.size(), what));
    for (size_t i = 0; i < std::min(names.size(), kShown); ++i) {
      console.line("    " + printable(names[i]));
    }
    if (names.size() > kShown) console.line(fmt::format("    ... {} more", names.size() - kShown));
  }

  void show_tensors(Console& console, const WeightsDifference& d) const {
    std::vector<const TensorDifference*> shown;
    for (const TensorDifference& t : d.tensors) {
      if (all_ || t.differing > 0) shown.push_back(&t);
    }
    const size_t different = static_cast<size_t>(std::count_if(
        d.tensors.begin(), d.tensors.end(), [](const auto& t) { return t.differing > 0; }));
    console.line(fmt::format("  {} of {} tensors differ", different, d.tensors.size()));
    if (shown.empty()) return;
    if (!all_) {
      std::stable_sort(shown.begin(), shown.end(),
                       [](const auto* x, const auto* y) { return x->relative() > y->relative(); });
    }
    const size_t count = all_ ? shown.size() : std::min(shown.size(), kShown);
    console.line();
    console.line(
        console.out(Style::dim, fmt::format("{:<26} {:<10} {:>8} {:>9} {:>9} {:>10}", "tensor",
                                            "types", "differ", "most", "relative", "cosine")));
    for (size_t i = 0; i < count; ++i) {
      const TensorDifference& t = *shown[i];
      const std::string types =
          t.stored_a == t.stored_b ? t.stored_a : t.stored_a + "/" + t.stored_b;
      console.line(fmt::format(
          "{} {} {:>8} {:>9} {:>9} {:>10.7f}", pad_right(shorten(t.name, 26, console.utf8()), 26),
          pad_right(types, 10),
          fmt::format("{:.1f} %", 100 * static_cast<double>(t.differing) /
                                      static_cast<double>(std::max<uint64_t>(1, t.elements))),
          small_number(t.max_difference), small_number(t.relative()), t.cosine));
    }
    if (count < shown.size()) {
      console.line(fmt::format("... {} more with --all", shown.size() - count));
    }
  }

  std::vector<std::string> folders_;
  double tolerance_ = 0;
  bool all_ = false;
  std::string texts_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_diff() { return std::make_unique<Diff>(); }

}  // namespace ettin::cli
