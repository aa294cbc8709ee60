// ettin tokenize
#include <fmt/format.h>

#include <algorithm>

#include "command.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

Json answer_json(const TokenizeResult& result) {
  Json offsets = Json::array();
  for (const auto& [begin, end] : result.offsets) offsets.push_back({begin, end});
  return {{"ids", result.ids}, {"tokens", result.tokens}, {"offsets", std::move(offsets)}};
}

class Tokenize : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] TEXT...",
            "Shows how a model's tokenizer cuts each text. Offsets count characters of the text; a "
            "token's leading space belongs to it.",
            {"ettin tokenize \"The capital of France is [MASK].\"",
             "ettin tokenize --no-special-tokens --input texts.jsonl --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.toggle("--no-special-tokens", "without [CLS] and [SEP] around the text", &bare_);
    flags.toggle("--json", "an object with ids, tokens and offsets for each text", &json);
    texts_.add_to(flags, {.pairs = true, .truncation = false});
    model_.add_to(flags, kDefaultEncoder);
  }

  Status run(Console& console) override {
    ETTIN_ASSIGN_OR_RETURN(const Model model, model_.load_tokenizer(console, kDefaultEncoder));
    TextTask<TokenizeResult> task;
    task.compute = [&](std::span<const TextInput> inputs) -> Result<std::vector<TokenizeResult>> {
      std::vector<TokenizeResult> results;
      for (const TextInput& input : inputs) {
        ETTIN_ASSIGN_OR_RETURN(TokenizeResult result, model.tokenize(input, !bare_));
        results.push_back(std::move(result));
      }
      return results;
    };
    if (json) task.to_json = answer_json;
    task.show = [&](const Record& record, const TokenizeResult& result) {
      show(console, record, result);
    };
    return run_text_task(console, texts_, task);
  }

 private:
  static void show(Console& console, const Record& record, const TokenizeResult& result) {
    console.line(console.out(
        Style::bold, shorten(printable(record.input.text), console.width(), console.utf8())));
    for (size_t i = 0; i < result.ids.size(); ++i) {
      const auto [begin, end] = result.offsets[i];
      const std::string place = begin == end ? "" : fmt::format("{}-{}", begin, end);
      console.line(fmt::format("  {:>6}  {}  {}", result.ids[i],
                               console.out(Style::dim, pad_left(place, 11)),
                               printable(result.tokens[i])));
    }
    console.line(console.out(Style::dim, fmt::format("  {} tokens", result.ids.size())));
  }

  bool bare_ = false;
  TextFlags texts_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_tokenize() { return std::make_unique<Tokenize>(); }

}  // namespace ettin::cli
