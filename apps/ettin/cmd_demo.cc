// ettin demo: one screen, one text, an encoder and a decoder.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "base/json.h"
#include "command.h"
#include "ettin/version.h"
#include "model_flags.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr std::string_view kMask = "[MASK]";
constexpr std::string_view kText = "The capital of France is [MASK].";
constexpr int kColumns = 80;
constexpr size_t kTextLines = 2;  // the screen has 24 lines; longer texts are shortened
constexpr size_t kEncoderWords = 5, kDecoderWords = 4;

// What the encoder fills and what the decoder continues.
struct Sentence {
  std::string masked;
  std::string start;  // up to the first mask
  bool mask_added = false;
  bool several_masks = false;
};

std::string without_trailing(std::string text, std::string_view characters) {
  const size_t last = text.find_last_not_of(characters);
  text.resize(last == std::string::npos ? 0 : last + 1);
  return text;
}

Sentence make_sentence(const std::string& text) {
  Sentence sentence;
  const size_t mask = text.find(kMask);
  if (mask == std::string::npos) {
    // The gap stands where the next word would: before the full stop, if there is one.
    sentence.start = without_trailing(text, ". \t\n");
    sentence.masked =
        fmt::format("{}{}{}.", sentence.start, sentence.start.empty() ? "" : " ", kMask);
    sentence.mask_added = true;
    return sentence;
  }
  sentence.masked = text;
  sentence.start = without_trailing(text.substr(0, mask), " \t\n");
  sentence.several_masks = text.find(kMask, mask + 1) != std::string::npos;
  return sentence;
}

struct Candidate {
  std::string word;
  double probability = 0;
};

struct Answers {
  std::vector<Candidate> encoder, decoder;
  std::string continuation;
  bool ended = false;  // by the decoder itself
  double encoder_ms = 0, decoder_ms = 0;
};

class Stopwatch {
 public:
  double ms() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Result<Answers> ask(const Model& encoder, const Model& decoder, const Sentence& sentence) {
  Answers answers;
  FillMaskOptions fill;
  fill.top_k = kEncoderWords;
  fill.first_mask_only = true;
  const Stopwatch encoder_time;
  const auto filled = encoder.fill_mask({{sentence.masked, std::nullopt}}, fill);
  if (!filled.ok()) return filled.status();
  answers.encoder_ms = encoder_time.ms();
  for (const FillMaskCandidate& c : (*filled)[0].masks[0]) {
    answers.encoder.push_back({c.token_str, c.score});
  }
  GenerateOptions generate;
  generate.max_new_tokens = 16;
  generate.top_logprobs = kDecoderWords;
  const Stopwatch decoder_time;
  const auto continued = decoder.generate({{sentence.start, std::nullopt}}, generate);
  if (!continued.ok()) return continued.status();
  answers.decoder_ms = decoder_time.ms();
  const GenerateResult& result = (*continued)[0];
  answers.continuation = result.text;
  answers.ended = result.finish_reason == FinishReason::eos;
  if (!result.tokens.empty()) {
    for (const TokenLogprob& t : result.tokens[0].top) {
      answers.decoder.push_back({t.token_str, std::exp(t.logprob)});
    }
  }
  return answers;
}

Json candidates_json(const std::vector<Candidate>& candidates) {
  Json list = Json::array();
  for (const Candidate& c : candidates) {
    list.push_back({{"token_str", c.word}, {"score", c.probability}});
  }
  return list;
}

class Demo : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] [TEXT...]",
            "One screen: the embedded encoder fills the [MASK] of a text, and its decoder twin, "
            "trained on the same words in the same order, continues the text up to there. Without "
            "a [MASK] one is put at the end.",
            {"ettin", "ettin demo \"A violin is a musical [MASK].\"", "ettin demo To open a file"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&words_);
    flags.option("--encoder", "DIR", "model folder or name", &encoder_);
    flags.option("--decoder", "DIR", "model folder or name", &decoder_);
    flags.toggle("--json", "an object with text, encoder and decoder", &json);
    model_.add_compute_to(flags);
  }

  Status run(Console& console) override {
    std::string text;
    for (const std::string& word : words_) text += (text.empty() ? "" : " ") + word;
    const Sentence sentence = make_sentence(words_.empty() ? std::string(kText) : text);
    model_.model = encoder_;
    ETTIN_ASSIGN_OR_RETURN(const Model encoder, model_.load(console, kDefaultEncoder));
    model_.model = decoder_;
    ETTIN_ASSIGN_OR_RETURN(const Model decoder, model_.load(console, kDefaultDecoder));
    ETTIN_ASSIGN_OR_RETURN(const Answers answers, ask(encoder, decoder, sentence));
    if (json) {
      console.line(dump_json(
          {{"text", sentence.masked},
           {"mask_added", sentence.mask_added},
           {"encoder", candidates_json(answers.encoder)},
           {"decoder",
            {{"text", answers.continuation}, {"first_token", candidates_json(answers.decoder)}}}}));
      return {};
    }
    show(console, sentence, answers, encoder.info(), decoder.info());
    return {};
  }

 private:
  void show(Console& console, const Sentence& sentence, const Answers& answers,
            const ModelInfo& encoder, const ModelInfo& decoder) const {
    const std::string dot = console.utf8() ? " · " : ", ";
    put(console, "ettin", "an encoder and a decoder on the same text");
    console.line();
    put(console, "encoder",
        sentence.mask_added      ? "reads the whole text and fills the [MASK] put at its end"
        : sentence.several_masks ? "reads the whole text and fills the first [MASK]"
                                 : "reads the whole text and fills the [MASK]");
    show_text(console, sentence.masked, SIZE_MAX);
    show_bars(console, answers.encoder);
    console.line();
    put(console, "decoder",
        sentence.start.empty() ? "has nothing to read here and begins a text of its own"
                               : "reads up to there and writes what comes next");
    show_text(
        console,
        fmt::format("{}{}{}", sentence.start, answers.continuation, answers.ended ? "" : " ..."),
        count_words(sentence.start));
    show_bars(console, answers.decoder);
    console.line();
    put(console, "models", facts(encoder, decoder, dot));
    // With the number of threads in one sign, or 80 columns would not hold the line.
    put(console, "time",
        fmt::format("load {} + {}{}run {} + {}{}{} {} {}", readable_ms(encoder.load_ms),
                    readable_ms(decoder.load_ms), dot, readable_ms(answers.encoder_ms),
                    readable_ms(answers.decoder_ms), dot, encoder.threads,
                    console.utf8() ? "×" : "x", encoder.backend));
    put(console, "try", fmt::format("{} \"A violin is a musical [MASK].\"", text_command()));
    put(console, "", fmt::format("{} generate \"Italy is a country in\"", program));
    put(console, "", fmt::format("{} help", program));
  }

  // A launcher that takes plain text is called with it; the program itself needs the command.
  std::string text_command() const {
    return program.ends_with("run") ? program : program + " demo";
  }

  static std::string facts(const ModelInfo& a, const ModelInfo& b, const std::string& dot) {
    const auto parameters = [](const ModelInfo& m) {
      return readable_count(static_cast<double>(m.parameters));
    };
    const bool twins = a.layers == b.layers && a.hidden_size == b.hidden_size &&
                       a.vocab_size == b.vocab_size && a.max_positions == b.max_positions;
    if (!twins) {
      return fmt::format("encoder {}, decoder {} parameters", parameters(a), parameters(b));
    }
    return fmt::format("each {} parameters{}{} layers{}hidden {}{}context {}", parameters(a), dot,
                       a.layers, dot, a.hidden_size, dot, with_commas(a.max_positions));
  }

  static void put(Console& console, std::string_view name, std::string_view text) {
    constexpr int kNameColumns = 10;
    console.line(fmt::format("  {}{}", console.out(Style::bold, pad_right(name, kNameColumns)),
                             shorten(text, kColumns - kNameColumns - 2, console.utf8())));
  }

  static size_t count_words(const std::string& text) {
    size_t words = 0;
    for (const std::string& line : wrap(printable(text), 1)) words += line.empty() ? 0 : 1;
    return words;
  }

  // The words from `written` on are the model's own; so is the mask a thing apart. A text too long
  // for the screen loses its beginning: what matters is at its end.
  static void show_text(Console& console, const std::string& text, size_t written) {
    constexpr int kMargin = 12, kTextColumns = kColumns - kMargin - 3;
    const std::vector<std::string> lines = wrap(printable(text), kTextColumns);
    const size_t skipped = lines.size() > kTextLines ? lines.size() - kTextLines : 0;
    size_t word = 0;
    for (size_t i = 0; i < lines.size(); ++i) {
      std::string shown(skipped > 0 && i == skipped ? (console.utf8() ? "… " : ".. ") : "");
      for (const std::string& part : wrap(lines[i], 1)) {
        const bool strong = word++ >= written || part.find(kMask) != std::string::npos;
        shown += console.out(strong ? Style::bold : Style::plain,
                             shorten(part, kTextColumns, console.utf8()));
        shown += ' ';
      }
      shown.pop_back();
      if (i >= skipped) console.line(fmt::format("{}{}", std::string(kMargin, ' '), shown));
    }
  }

  static void show_bars(Console& console, const std::vector<Candidate>& candidates) {
    constexpr int kMargin = 12, kWordColumns = 16, kBarColumns = 36;
    for (size_t i = 0; i < candidates.size(); ++i) {
      const Candidate& c = candidates[i];
      const std::string_view word = c.word;
      const std::string shown = shorten(printable(word.starts_with(' ') ? word.substr(1) : word),
                                        kWordColumns - 2, console.utf8());
      console.line(fmt::format(
          "{}{}{}  {}", std::string(kMargin, ' '),
          console.out(i == 0 ? Style::bold : Style::plain, pad_right(shown, kWordColumns)),
          percent(c.probability),
          console.out(i == 0 ? Style::green : Style::dim,
                      bar(c.probability, kBarColumns, console.utf8()))));
    }
  }

  std::vector<std::string> words_;
  std::string encoder_, decoder_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_demo() { return std::make_unique<Demo>(); }

}  // namespace ettin::cli
