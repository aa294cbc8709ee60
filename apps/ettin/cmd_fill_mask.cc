// ettin fill-mask
#include <fmt/format.h>

#include <algorithm>

#include "command.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

// "Paris, London" are two targets; a comma alone is one.
std::vector<std::string> split_targets(const std::vector<std::string>& values) {
  std::vector<std::string> targets;
  for (const std::string& value : values) {
    if (value.find_first_not_of(',') == std::string::npos) {
      targets.push_back(value);
      continue;
    }
    for (size_t at = 0; at <= value.size();) {
      const size_t comma = std::min(value.find(',', at), value.size());
      if (comma > at) targets.push_back(value.substr(at, comma - at));
      at = comma + 1;
    }
  }
  return targets;
}

Json candidates_json(const std::vector<FillMaskCandidate>& candidates) {
  Json list = Json::array();
  for (const FillMaskCandidate& c : candidates) {
    list.push_back({{"score", c.score},
                    {"token", c.token},
                    {"token_str", c.token_str},
                    {"sequence", c.sequence}});
  }
  return list;
}

// One mask: its candidates; several: a list for each, as Hugging Face pipelines answer.
Json answer_json(const FillMaskResult& result) {
  if (result.masks.size() == 1) return candidates_json(result.masks[0]);
  Json masks = Json::array();
  for (const auto& candidates : result.masks) masks.push_back(candidates_json(candidates));
  return masks;
}

void show_candidates(Console& console, const std::vector<FillMaskCandidate>& candidates) {
  constexpr int kLongestWord = 24, kBarColumns = 36;
  std::vector<std::string> words;
  int widest = 0;
  for (const FillMaskCandidate& c : candidates) {
    const std::string_view word = c.token_str;
    words.push_back(shorten(printable(word.starts_with(' ') ? word.substr(1) : word), kLongestWord,
                            console.utf8()));
    widest = std::max(widest, display_width(words.back()));
  }
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Style style = i == 0 ? Style::bold : Style::plain;
    console.line(fmt::format(
        "  {}  {}  {}", console.out(style, pad_right(words[i], widest)),
        percent(candidates[i].score),
        console.out(Style::green, bar(candidates[i].score, kBarColumns, console.utf8()))));
  }
}

class FillMask : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] TEXT...",
            "Finds the most likely words for every [MASK] of a text, with an encoder. Scores are "
            "probabilities over the whole vocabulary.",
            {"ettin fill-mask \"The capital of France is [MASK].\"",
             "ettin fill-mask --targets \" Paris, London\" \"The capital of France is [MASK].\"",
             "ettin fill-mask --input texts.jsonl --top-k 1 --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.option("--top-k", "K", "candidates for each mask", &options_.top_k);
    flags.list("--targets", "WORDS",
               "only these words compete, separated by commas; most words inside a sentence begin "
               "with a space: \" Paris\"",
               &targets_);
    flags.toggle("--first-mask-only", "answer only the first mask of each text",
                 &options_.first_mask_only);
    flags.toggle("--json",
                 "one array of {score, token, token_str, sequence} for each text; an "
                 "array of arrays for several masks",
                 &json);
    texts_.add_to(flags, {.pairs = true});
    model_.add_to(flags, kDefaultEncoder);
  }

  Status run(Console& console) override {
    ETTIN_ASSIGN_OR_RETURN(const Model model, model_.load(console, kDefaultEncoder));
    options_.targets = split_targets(targets_);
    options_.over_length = texts_.over_length();
    bool noted = false;
    TextTask<FillMaskResult> task;
    task.compute = [&](auto inputs) {
      auto results = model.fill_mask(inputs, options_);
      // Notes are about the options, the same for every text.
      if (results.ok() && !results->empty() && !noted) {
        for (const std::string& note : results->front().notes) console.notice(printable(note));
        noted = true;
      }
      return results;
    };
    task.cut_to = cut_to<FillMaskResult>;
    if (json) task.to_json = answer_json;
    task.show = [&](const Record& record, const FillMaskResult& result) {
      show(console, record, result);
    };
    return run_text_task(console, texts_, task);
  }

 private:
  static void show(Console& console, const Record& record, const FillMaskResult& result) {
    for (const std::string& line : wrap(printable(record.input.text), console.width())) {
      console.line(console.out(Style::bold, line));
    }
    for (size_t m = 0; m < result.masks.size(); ++m) {
      console.line(result.masks.size() == 1 ? std::string() : fmt::format("\nmask {}", m + 1));
      show_candidates(console, result.masks[m]);
    }
  }

  FillMaskOptions options_;
  std::vector<std::string> targets_;
  TextFlags texts_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_fill_mask() { return std::make_unique<FillMask>(); }

}  // namespace ettin::cli
