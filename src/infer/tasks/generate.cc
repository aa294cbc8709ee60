// Continuations by a decoder: texts to prompts for the engine, and its tokens back to text.
#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>

#include <fmt/format.h>

#include "infer/decode_engine.h"
#include "infer/encode.h"
#include "infer/stop_text.h"
#include "infer/tasks/tasks.h"
#include "text/stream_decoder.h"

namespace ettin {
namespace {

Status validate(const Session& session, const GenerateOptions& o) {
  const ModelConfig& c = session.config();
  if (c.arm.objective != Objective::clm || c.head != Head::language_model) {
    return wrong_task(session, "generate", "a decoder with a language-model head",
                      c.arm.objective == Objective::mlm ? "use fill-mask or embed with an encoder"
                                                        : "use embed or classify with this model");
  }
  const auto bad = [](std::string what, std::string hint) {
    return Status(StatusCode::invalid_argument, std::move(what), std::move(hint));
  };
  if (o.max_new_tokens < 0) return bad("max_new_tokens is negative", "give 0 or more");
  if (!(o.temperature >= 0) || !std::isfinite(o.temperature)) {
    return bad("temperature is not 0 or more", "0 is greedy; 0.7 is common");
  }
  if (o.top_k < 0) return bad("top_k is negative", "0 keeps all tokens");
  if (!(o.top_p > 0 && o.top_p <= 1)) return bad("top_p is not in (0, 1]", "1 keeps all tokens");
  if (!(o.min_p >= 0 && o.min_p <= 1)) return bad("min_p is not in [0, 1]", "0 keeps all tokens");
  if (!(o.repetition_penalty > 0) || !std::isfinite(o.repetition_penalty)) {
    return bad("repetition_penalty is not above 0", "1 is none; 1.1 is common");
  }
  if (o.top_logprobs < 0 || o.top_logprobs > 1000) {
    return bad("top_logprobs is not in 0 to 1000", "0 reports the chosen token only");
  }
  for (const std::string& stop : o.stop) {
    if (stop.empty()) return bad("a stop text is empty", "give at least one character");
  }
  return {};
}

// The prompts' ids. Over-long ones are an error, or lose what follows [CLS] up to what fits.
Result<std::vector<Encoding>> encode_prompts(const Session& session,
                                             std::span<const TextInput> prompts,
                                             const GenerateOptions& options) {
  ETTIN_ASSIGN_OR_RETURN(std::vector<Encoding> encodings,
                         encode_inputs(session, prompts, OverLength::error, false, INT64_MAX));
  const int64_t most = session.max_tokens();
  for (size_t i = 0; i < encodings.size(); ++i) {
    Encoding& e = encodings[i];
    const auto tokens = static_cast<int64_t>(e.ids.size());
    if (tokens == 0) {
      return Status(StatusCode::invalid_argument, fmt::format("prompt {} has no tokens", i),
                    "this tokenizer adds no special tokens; give a text");
    }
    if (tokens < most) continue;
    if (options.over_length == OverLength::error) {
      return Status(StatusCode::too_long,
                    fmt::format("prompt {} has {} tokens; with one to generate this model reads at "
                                "most {}",
                                i, tokens, most - 1),
                    "shorten it, or ask for truncation (--truncate keeps its end)");
    }
    const int64_t keep =
        std::max<int64_t>({most - std::max<int64_t>(options.max_new_tokens, 1), most / 2, 1});
    const int64_t first = e.special[0] != 0 && keep > 1 ? 1 : 0;  // [CLS] stays in front
    e.ids.erase(e.ids.begin() + first, e.ids.begin() + first + (tokens - keep));
    e.truncated = true;
  }
  return encodings;
}

// A stream's tokens on their way to text, to the caller and into the result.
class Answer final : public DecodeSink {
 public:
  Answer(const Session& session, const GenerateOptions& options, const GenerateCallback& callback,
         size_t index, GenerateResult& result)
      : session_(session),
        callback_(callback),
        top_(options.top_logprobs),
        index_(index),
        result_(result),
        decoder_(session.tokenizer()),
        text_(options.stop) {}

  bool on_token(const DecodedToken& token) override {
    GeneratedToken generated{logprob(token.chosen, token.normalizer), {}};
    for (size_t i = 0; i < token.best.size() && static_cast<int64_t>(i) < top_; ++i) {
      generated.top.push_back(logprob(token.best[i], token.normalizer));
    }
    result_.tokens.push_back(std::move(generated));
    if (token.eos) return true;
    return emit(text_.push(decoder_.push(token.chosen.id))) && !text_.stopped();
  }

  void on_end(FinishReason reason, int64_t cached_tokens) override {
    result_.cached_tokens = cached_tokens;
    result_.finish_reason = reason;
    if (reason == FinishReason::eos || reason == FinishReason::length) {
      std::string rest = text_.push(decoder_.finish());
      if (text_.stopped()) result_.finish_reason = FinishReason::stop;
      rest += text_.finish();
      emit(rest);
    }
    if (cancelled_) result_.finish_reason = FinishReason::cancelled;
  }

 private:
  TokenLogprob logprob(const TokenLogit& t, double normalizer) const {
    return {t.id, session_.tokenizer().decode_bytes(t.id), t.logit - normalizer};
  }

  // False when the caller cancelled this prompt.
  bool emit(const std::string& piece) {
    if (piece.empty()) return true;
    result_.text += piece;
    cancelled_ = callback_ && !callback_(index_, piece);
    return !cancelled_;
  }

  const Session& session_;
  const GenerateCallback& callback_;
  const int64_t top_;
  const size_t index_;
  GenerateResult& result_;
  StreamDecoder decoder_;
  StopText text_;
  bool cancelled_ = false;
};

}  // namespace

Result<std::vector<GenerateResult>> generate(const Session& session,
                                             std::span<const TextInput> prompts,
                                             const GenerateOptions& options,
                                             const GenerateCallback& callback) {
  ETTIN_RETURN_IF_ERROR(validate(session, options));
  ETTIN_ASSIGN_OR_RETURN(std::vector<Encoding> encodings,
                         encode_prompts(session, prompts, options));
  std::vector<GenerateResult> results(prompts.size());
  for (size_t i = 0; i < results.size(); ++i) {
    results[i].prompt_tokens = static_cast<int64_t>(encodings[i].ids.size());
    results[i].truncated = encodings[i].truncated;
  }
  if (options.max_new_tokens == 0) return results;

  DecodeEngine engine(session);
  std::deque<Answer> answers;  // they do not move
  const auto shared_options = std::make_shared<const GenerateOptions>(options);
  for (size_t i = 0; i < results.size(); ++i) {
    Answer& answer = answers.emplace_back(session, *shared_options, callback, i, results[i]);
    ETTIN_RETURN_IF_ERROR(engine
                              .submit({std::move(encodings[i].ids), shared_options,
                                       options.first_stream + i, &answer})
                              .status());
  }
  engine.run();
  return results;
}

}  // namespace ettin
