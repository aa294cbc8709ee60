// ettin classify
#include <fmt/format.h>

#include <algorithm>

#include "command.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

ScoreFunction function_named(const std::string& name) {
  if (name == "softmax") return ScoreFunction::softmax;
  if (name == "sigmoid") return ScoreFunction::sigmoid;
  if (name == "none") return ScoreFunction::none;
  return ScoreFunction::automatic;
}

Json answer_json(const ClassifyResult& result) {
  Json labels = Json::array();
  for (const LabelScore& l : result.labels) {
    labels.push_back({{"label", l.label}, {"score", l.score}});
  }
  return labels;
}

class Classify : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] TEXT...",
            "Labels each text, or pair of texts, with a model that has a sequence-classification "
            "head. The embedded models have none: name one with --model.",
            {"ettin classify --model DIR \"A fine film.\"",
             "ettin classify --model DIR --pair \"Nobody sings.\" \"A man sings.\"",
             "ettin classify --model DIR --input texts.jsonl --top-k 0 --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.option("--top-k", "K", "best labels to show; 0: all", &options_.top_k);
    flags.choice("--function", {"auto", "softmax", "sigmoid", "none"},
                 "what turns logits into scores; auto: what the model says", &function_);
    flags.toggle("--json", "an array of {label, score} for each text", &json);
    texts_.add_to(flags, {.pairs = true});
    model_.add_to(flags, kDefaultEncoder);
  }

  Status run(Console& console) override {
    ETTIN_ASSIGN_OR_RETURN(const Model model, model_.load(console, kDefaultEncoder));
    options_.function = function_named(function_);
    options_.over_length = texts_.over_length();
    TextTask<ClassifyResult> task;
    task.compute = [&](auto inputs) { return model.classify(inputs, options_); };
    task.cut_to = cut_to<ClassifyResult>;
    if (json) task.to_json = [&](const ClassifyResult& result) { return answer_json(result); };
    task.show = [&](const Record& record, const ClassifyResult& result) {
      show(console, record, result);
    };
    return run_text_task(console, texts_, task);
  }

 private:
  static void show(Console& console, const Record& record, const ClassifyResult& result) {
    constexpr int kLongestLabel = 30, kBarColumns = 32;
    int widest = 0;
    for (const LabelScore& l : result.labels) {
      widest = std::max(widest, display_width(printable(l.label)));
    }
    widest = std::min(widest, kLongestLabel);
    const std::vector<std::optional<std::string>> texts = {record.input.text, record.input.pair};
    for (const auto& text : texts) {
      if (!text) continue;
      console.line(
          console.out(Style::bold, shorten(printable(*text), console.width(), console.utf8())));
    }
    for (const LabelScore& l : result.labels) {
      const std::string label =
          pad_right(shorten(printable(l.label), widest, console.utf8()), widest);
      // Raw logits are no probabilities: no bar fits them.
      const bool in_unit = l.score >= 0 && l.score <= 1;
      console.line(fmt::format(
          "  {}  {:8.4f}  {}", label, l.score,
          in_unit ? console.out(Style::green, bar(l.score, kBarColumns, console.utf8())) : ""));
    }
  }

  ClassifyOptions options_;
  std::string function_ = "auto";
  TextFlags texts_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_classify() { return std::make_unique<Classify>(); }

}  // namespace ettin::cli
