// ettin generate
#include <fmt/format.h>

#include "command.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

std::string_view finish_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::length:
      return "length";
    case FinishReason::eos:
      return "eos";
    case FinishReason::stop:
      return "stop";
    case FinishReason::cancelled:
      return "cancelled";
  }
  return "?";
}

Json token_json(const TokenLogprob& token) {
  return {{"token", token.token}, {"token_str", token.token_str}, {"logprob", token.logprob}};
}

Json answer_json(const GenerateResult& result, bool alternatives) {
  Json tokens = Json::array();
  for (const GeneratedToken& t : result.tokens) {
    Json token = token_json(t);
    if (alternatives) {
      token["top"] = Json::array();
      for (const TokenLogprob& other : t.top) token["top"].push_back(token_json(other));
    }
    tokens.push_back(std::move(token));
  }
  Json answer = {{"text", result.text},
                 {"finish_reason", finish_name(result.finish_reason)},
                 {"prompt_tokens", result.prompt_tokens},
                 {"tokens", std::move(tokens)}};
  if (result.truncated) answer["truncated"] = true;
  return answer;
}

class Generate : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] TEXT...",
            "Continues each text with a decoder: greedily, or by sampling when --temperature is "
            "above 0. On a terminal the text is shown before its continuation; into a file or pipe "
            "only the continuation is written (--echo: both).",
            {"ettin generate \"A violin is a kind of\"",
             "ettin generate --temperature 0.8 --top-p 0.9 --seed 7 \"In the beginning\"",
             "ettin generate --input prompts.jsonl --stop \".\" --logprobs 3 --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.option("--max-new-tokens", "N", "most tokens to add", &options_.max_new_tokens);
    flags.list("--stop", "TEXT", "end before this text", &options_.stop);
    flags.toggle("--ignore-eos", "go on after the end-of-text token", &options_.ignore_eos);
    flags.toggle("--echo", "write the text before its continuation", &echo_);
    flags.option("--logprobs", "K", "with --json: the K most likely tokens at each step",
                 &options_.top_logprobs);
    flags.toggle("--json", "an object with text, finish_reason, prompt_tokens and tokens", &json);
    flags.group("sampling");
    flags.option("--temperature", "T", "0: greedy, always the most likely token",
                 &options_.temperature);
    flags.option("--top-k", "K", "only the K most likely tokens; 0: all", &options_.top_k);
    flags.option("--top-p", "P", "only the smallest set with this probability", &options_.top_p);
    flags.option("--min-p", "P", "only tokens with this part of the best one's probability",
                 &options_.min_p);
    flags.option("--repetition-penalty", "X", "above 1: less of what is already there",
                 &options_.repetition_penalty);
    flags.option("--seed", "N", "the same seed gives the same text", &options_.seed);
    texts_.add_to(flags, {});
    model_.add_to(flags, kDefaultDecoder);
  }

  Status run(Console& console) override {
    ETTIN_ASSIGN_OR_RETURN(const Model model, model_.load(console, kDefaultDecoder));
    options_.over_length = texts_.over_length();
    if (!json && texts_.texts.size() == 1 && texts_.texts[0] != "-" && texts_.input.empty()) {
      return stream(console, model);
    }
    uint64_t answered = 0;
    GenerateOptions no_tokens = options_;
    no_tokens.max_new_tokens = std::min<int64_t>(options_.max_new_tokens, 0);
    TextTask<GenerateResult> task;
    task.check = [&](auto inputs) { return model.generate(inputs, no_tokens).status(); };
    task.compute = [&](auto inputs) {
      options_.first_stream = answered;
      auto results = model.generate(inputs, options_);
      if (results.ok()) answered += results->size();
      return results;
    };
    task.cut_to = [](const GenerateResult& result) -> std::optional<int64_t> {
      if (!result.truncated) return std::nullopt;
      return result.prompt_tokens;
    };
    if (json) {
      task.to_json = [&](const GenerateResult& result) {
        return answer_json(result, options_.top_logprobs > 0);
      };
    }
    task.show = [&](const Record& record, const GenerateResult& result) {
      show_prompt(console, record.input.text);
      console.line(shown(console, result.text));
    };
    return run_text_task(console, texts_, task, 64);
  }

 private:
  // Text of a model may steer a terminal; a file gets it as it is.
  static std::string shown(const Console& console, std::string_view text) {
    return console.out_is_terminal() ? printable(text, true) : std::string(text);
  }

  void show_prompt(Console& console, const std::string& prompt) const {
    if (echo_ || console.out_is_terminal()) {
      console.write(console.out(Style::dim, shown(console, prompt)));
    }
  }

  // One prompt for a reader: each piece of text as soon as it is certain.
  Status stream(Console& console, const Model& model) {
    const Record record = {{texts_.texts[0], std::nullopt}, std::nullopt, "the text"};
    GenerateOptions no_tokens = options_;
    no_tokens.max_new_tokens = std::min<int64_t>(options_.max_new_tokens, 0);
    // What is wrong with the options or the model is not said of the text.
    ETTIN_RETURN_IF_ERROR(model.generate(std::span<const TextInput>(), no_tokens).status());
    const auto checked = model.generate({record.input}, no_tokens);
    if (!checked.ok()) return name_record(checked.status(), record);
    show_prompt(console, record.input.text);
    Status written = console.flush();
    const auto results =
        model.generate({record.input}, options_, [&](size_t, std::string_view piece) {
          console.write(shown(console, piece));
          written = console.flush();
          return written.ok();
        });
    if (!results.ok()) return name_record(results.status(), record);
    ETTIN_RETURN_IF_ERROR(written);
    console.line();
    TruncationNotices notices(console);
    const GenerateResult& result = (*results)[0];
    if (result.truncated) notices.add(record, result.prompt_tokens);
    if (console.out_is_terminal() && result.text.empty()) {
      console.notice("the model ended the text at once");
    }
    return {};
  }

  GenerateOptions options_;
  bool echo_ = false;
  TextFlags texts_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_generate() { return std::make_unique<Generate>(); }

}  // namespace ettin::cli
