// ettin score
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "command.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

Json answer_json(const ScoreResult& result, bool causal) {
  Json tokens = Json::array();
  for (const TokenScore& t : result.tokens) {
    tokens.push_back({{"token", t.token},
                      {"token_str", t.token_str},
                      {"logprob", t.logprob},
                      {"bytes", {t.bytes.first, t.bytes.second}}});
  }
  Json answer = {{"total", result.total},
                 {"perplexity", result.perplexity},
                 {"bits_per_byte", result.bits_per_byte},
                 {"method", causal ? "causal" : "pseudo"},
                 {"tokens", std::move(tokens)}};
  if (result.truncated) answer["truncated"] = true;
  return answer;
}

void show_result(Console& console, const ScoreResult& result) {
  constexpr int kLongestToken = 30, kBarColumns = 24;
  int widest = 5;
  for (const TokenScore& t : result.tokens) {
    widest = std::max(widest, display_width(printable(t.token_str)));
  }
  widest = std::min(widest, kLongestToken);
  for (const TokenScore& t : result.tokens) {
    const double probability = std::exp(t.logprob);
    console.line(
        fmt::format("  {}  {:8.3f}  {}  {}",
                    pad_right(shorten(printable(t.token_str), widest, console.utf8()), widest),
                    t.logprob, percent(probability),
                    console.out(Style::green, bar(probability, kBarColumns, console.utf8()))));
  }
  console.line(fmt::format("  {}  {:8.3f}  perplexity {:.2f}, {:.3f} bits a byte, {} tokens",
                           console.out(Style::bold, pad_right("total", widest)), result.total,
                           result.perplexity, result.bits_per_byte, result.tokens.size()));
}

class Score : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] TEXT...",
            "The natural logarithm of each token's probability. A decoder sees what stands before "
            "the token; an encoder sees all other tokens, one mask at a time (pseudo-likelihood).",
            {"ettin score \"The capital of France is Paris.\"",
             "ettin score --model ettin-nano-encoder \"Paris is big.\" \"Paris am big.\"",
             "ettin score --input texts.jsonl --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.toggle("--json", "an object with total, perplexity, bits_per_byte, method and tokens",
                 &json);
    texts_.add_to(flags, {.pairs = true});
    model_.add_to(flags, kDefaultDecoder);
  }

  Status run(Console& console) override {
    ETTIN_ASSIGN_OR_RETURN(const Model model, model_.load(console, kDefaultDecoder));
    const bool causal = model.is_decoder();
    const ScoreOptions options = {texts_.over_length()};
    TextTask<ScoreResult> task;
    task.compute = [&](auto inputs) { return model.score(inputs, options); };
    task.cut_to = [](const ScoreResult& result) -> std::optional<int64_t> {
      if (!result.truncated) return std::nullopt;
      return static_cast<int64_t>(result.tokens.size());
    };
    if (json) task.to_json = [&](const ScoreResult& result) { return answer_json(result, causal); };
    task.show = [&](const Record& record, const ScoreResult& result) {
      console.line(console.out(
          Style::bold, shorten(printable(record.input.text), console.width(), console.utf8())));
      show_result(console, result);
    };
    // An encoder runs a text once for each of its tokens: answer few texts at a time.
    return run_text_task(console, texts_, task, causal ? 256 : 16);
  }

 private:
  TextFlags texts_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_score() { return std::make_unique<Score>(); }

}  // namespace ettin::cli
