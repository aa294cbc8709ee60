// ettin token-classify
#include <fmt/format.h>

#include <algorithm>

#include "command.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

Aggregation aggregation_named(const std::string& name) {
  if (name == "simple") return Aggregation::simple;
  if (name == "first") return Aggregation::first;
  if (name == "average") return Aggregation::average;
  if (name == "max") return Aggregation::max;
  return Aggregation::none;
}

Json answer_json(const TokenClassifyResult& result, Aggregation aggregation) {
  Json entities = Json::array();
  for (const Entity& e : result.entities) {
    // The keys of Hugging Face's pipeline, in its order.
    Json entity = Json::object();
    entity[aggregation == Aggregation::none ? "entity" : "entity_group"] = e.label;
    entity["score"] = e.score;
    if (aggregation == Aggregation::none) entity["index"] = e.index;
    entity["word"] = e.word;
    entity["start"] = e.start;
    entity["end"] = e.end;
    entities.push_back(std::move(entity));
  }
  return entities;
}

class TokenClassify : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] TEXT...",
            "Labels tokens, or with --aggregation words and entities, with a model that has a "
            "token-classification head. The embedded models have none: name one with --model. "
            "Places are counted in characters.",
            {"ettin token-classify --model DIR \"Ada Lovelace lived in London.\"",
             "ettin token-classify --model DIR --aggregation simple --input texts.jsonl --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.choice("--aggregation", {"none", "simple", "first", "average", "max"},
                 "join tokens into entities; the last three decide word by word", &aggregation_);
    flags.list("--ignore-label", "LABEL", "leave these out, instead of O", &ignored_);
    flags.toggle(
        "--json",
        "an array of {entity or entity_group, score, index, word, start, end} for each text",
        &json);
    texts_.add_to(flags, {});
    model_.add_to(flags, kDefaultEncoder);
  }

  Status run(Console& console) override {
    ETTIN_ASSIGN_OR_RETURN(const Model model, model_.load(console, kDefaultEncoder));
    options_.aggregation = aggregation_named(aggregation_);
    options_.over_length = texts_.over_length();
    if (!ignored_.empty()) options_.ignore_labels = ignored_;
    TextTask<TokenClassifyResult> task;
    task.compute = [&](auto inputs) { return model.token_classify(inputs, options_); };
    task.cut_to = cut_to<TokenClassifyResult>;
    if (json)
      task.to_json = [&](const TokenClassifyResult& result) {
        return answer_json(result, options_.aggregation);
      };
    task.show = [&](const Record& record, const TokenClassifyResult& result) {
      show(console, record, result);
    };
    return run_text_task(console, texts_, task);
  }

 private:
  static void show(Console& console, const Record& record, const TokenClassifyResult& result) {
    console.line(console.out(
        Style::bold, shorten(printable(record.input.text), console.width(), console.utf8())));
    int widest = 0;
    for (const Entity& e : result.entities) {
      widest = std::max(widest, display_width(printable(e.label)));
    }
    for (const Entity& e : result.entities) {
      console.line(fmt::format("  {}  {}  {:>5}-{:<5}  {}", pad_right(printable(e.label), widest),
                               percent(e.score), e.start, e.end, printable(e.word)));
    }
    if (result.entities.empty()) console.line(console.out(Style::dim, "  nothing found"));
  }

  TokenClassifyOptions options_;
  std::string aggregation_ = "none";
  std::vector<std::string> ignored_;
  TextFlags texts_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_token_classify() { return std::make_unique<TokenClassify>(); }

}  // namespace ettin::cli
