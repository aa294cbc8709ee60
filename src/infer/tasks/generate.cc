// Continuations by a decoder: continuous batching over a KV cache. New prompts join as others end;
// which share a batch changes nothing in any answer.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include <fmt/format.h>

#include "infer/decode.h"
#include "infer/encode.h"
#include "infer/sampler.h"
#include "infer/stop_text.h"
#include "infer/tasks/tasks.h"
#include "model/heads.h"
#include "text/stream_decoder.h"

namespace ettin {
namespace {

constexpr size_t kMostRunning = 64;  // sequences whose caches are held at once

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

// One prompt on its way to its answer.
struct Running {
  Running(const Session& session, size_t prompt, std::vector<int32_t> ids,
          const GenerateOptions& options)
      : index(prompt),
        state{KvCache(session.config(), session.backend().cache_dtype()), ids},
        seen(std::move(ids)),
        sampler(options, options.first_stream + prompt),
        decoder(session.tokenizer()),
        text(options.stop) {}

  size_t index;
  DecodeState state;
  std::vector<int32_t> seen;  // prompt and answer
  Sampler sampler;
  StreamDecoder decoder;
  StopText text;
  bool done = false;
};

class Generator {
 public:
  Generator(const Session& session, const GenerateOptions& options,
            const GenerateCallback& callback, std::span<GenerateResult> results)
      : session_(session), options_(options), callback_(callback), results_(results) {}

  void run(std::vector<Encoding> prompts) {
    size_t next = 0;
    std::vector<std::unique_ptr<Running>> running;
    while (next < prompts.size() || !running.empty()) {
      int64_t pending = static_cast<int64_t>(running.size());
      while (next < prompts.size() && running.size() < kMostRunning) {
        const auto tokens = static_cast<int64_t>(prompts[next].ids.size());
        if (!running.empty() && pending + tokens > kBatchTokens) break;
        pending += tokens;
        running.push_back(
            std::make_unique<Running>(session_, next, std::move(prompts[next].ids), options_));
        ++next;
      }
      step(running);
      std::erase_if(running, [](const auto& r) { return r->done; });
    }
  }

 private:
  void step(std::span<const std::unique_ptr<Running>> running) {
    Session::Scratch scratch(session_);
    std::vector<DecodeState*> states;
    for (const auto& r : running) states.push_back(&r->state);
    const View hidden = decode_step(session_, states, scratch.arena());
    for (size_t at = 0; at < running.size(); at += kLogitRows) {
      const size_t n = std::min<size_t>(kLogitRows, running.size() - at);
      const Arena::Mark mark = scratch.arena().mark();
      std::vector<int64_t> rows(n);
      std::iota(rows.begin(), rows.end(), static_cast<int64_t>(at));
      const View logits = vocab_logits(session_.network(), hidden, rows, scratch.arena());
      choose(running.subspan(at, n), logits);
      scratch.arena().release_to(mark);
    }
  }

  void choose(std::span<const std::unique_ptr<Running>> running, ConstView logits) {
    const Backend& backend = session_.backend();
    const int64_t k =
        std::min(std::max<int64_t>(options_.top_logprobs, 1), session_.config().vocab_size);
    normalizer_.resize(running.size());
    best_.resize(running.size() * static_cast<size_t>(k));
    backend.log_sum_exp(logits, normalizer_);
    backend.top_k(logits, k, best_);
    for (size_t i = 0; i < running.size(); ++i) {
      Running& r = *running[i];
      const std::span<const TokenLogit> best =
          std::span(best_).subspan(i * static_cast<size_t>(k), static_cast<size_t>(k));
      TokenLogit chosen = best[0];
      if (!r.sampler.is_plain_greedy()) {
        row_.resize(static_cast<size_t>(logits.cols));
        backend.copy_to_host(logits.slice_rows(static_cast<int64_t>(i), 1), std::span(row_));
        adjusted_ = row_;
        chosen.id = r.sampler.choose(adjusted_, r.seen);
        chosen.logit = row_[static_cast<size_t>(chosen.id)];
      }
      accept(r, chosen, best, normalizer_[i]);
    }
  }

  TokenLogprob logprob(const TokenLogit& t, double normalizer) const {
    return {t.id, session_.tokenizer().decode_bytes(t.id), t.logit - normalizer};
  }

  void accept(Running& r, const TokenLogit& chosen, std::span<const TokenLogit> best,
              double normalizer) {
    GenerateResult& result = results_[r.index];
    GeneratedToken token{logprob(chosen, normalizer), {}};
    for (int64_t i = 0; i < options_.top_logprobs && i < static_cast<int64_t>(best.size()); ++i) {
      token.top.push_back(logprob(best[static_cast<size_t>(i)], normalizer));
    }
    result.tokens.push_back(std::move(token));
    r.seen.push_back(chosen.id);

    const std::vector<int32_t>& eos = session_.eos_ids();
    const bool ended =
        !options_.ignore_eos && std::find(eos.begin(), eos.end(), chosen.id) != eos.end();
    if (!ended && !emit(r, r.text.push(r.decoder.push(chosen.id)))) return;
    if (r.text.stopped()) return finish(r, FinishReason::stop);
    const bool full = static_cast<int64_t>(result.tokens.size()) >= options_.max_new_tokens ||
                      static_cast<int64_t>(r.seen.size()) >= session_.max_tokens();
    if (ended || full) {
      std::string rest = r.text.push(r.decoder.finish());
      const bool stopped = r.text.stopped();
      rest += r.text.finish();
      if (!emit(r, rest)) return;
      return finish(
          r, stopped ? FinishReason::stop : (ended ? FinishReason::eos : FinishReason::length));
    }
    r.state.pending.assign(1, chosen.id);
  }

  // False when the caller cancelled this prompt.
  bool emit(Running& r, const std::string& piece) {
    if (piece.empty()) return true;
    results_[r.index].text += piece;
    if (!callback_ || callback_(r.index, piece)) return true;
    finish(r, FinishReason::cancelled);
    return false;
  }

  void finish(Running& r, FinishReason reason) {
    results_[r.index].finish_reason = reason;
    r.done = true;
  }

  const Session& session_;
  const GenerateOptions& options_;
  const GenerateCallback& callback_;
  std::span<GenerateResult> results_;
  std::vector<double> normalizer_, row_, adjusted_;
  std::vector<TokenLogit> best_;
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
  if (options.max_new_tokens > 0) {
    Generator(session, options, callback, results).run(std::move(encodings));
  }
  return results;
}

}  // namespace ettin
