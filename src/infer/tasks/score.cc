// Log-probabilities of a text: causal for decoders, one mask per token for encoders.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "infer/encode.h"
#include "infer/tasks/tasks.h"
#include "model/heads.h"

namespace ettin {
namespace {

// One wanted log-probability: of token `target` of text `text`, read at row `row` of a batch.
struct Wanted {
  size_t text;
  size_t token;
  int64_t row;
};

// Reads the log-probabilities of `wanted` from the hidden states of one batch.
void read_logprobs(const Session& session, ConstView hidden, std::span<const Wanted> wanted,
                   std::span<const Encoding> encodings, Arena& arena,
                   std::span<ScoreResult> results) {
  const Backend& backend = session.backend();
  std::vector<int64_t> rows;
  std::vector<double> normalizer;
  for (size_t at = 0; at < wanted.size(); at += kLogitRows) {
    const size_t n = std::min<size_t>(kLogitRows, wanted.size() - at);
    rows.clear();
    for (size_t i = 0; i < n; ++i) rows.push_back(wanted[at + i].row);
    normalizer.resize(n);
    const Arena::Mark mark = arena.mark();
    const View logits = vocab_logits(session.network(), hidden, rows, arena);
    backend.log_sum_exp(logits, normalizer);
    for (size_t i = 0; i < n; ++i) {
      const Wanted& w = wanted[at + i];
      const int32_t id = encodings[w.text].ids[w.token];
      double logit = 0;
      backend.copy_to_host(logits.slice_rows(static_cast<int64_t>(i), 1).slice_cols(id, 1),
                           std::span(&logit, 1));
      const Offset o = encodings[w.text].byte_offsets[w.token];
      results[w.text].tokens.push_back(
          {id, session.tokenizer().decode_bytes(id), logit - normalizer[i], {o.begin, o.end}});
    }
    arena.release_to(mark);
  }
}

Status score_causal(const Session& session, std::span<const Encoding> encodings,
                    std::span<ScoreResult> results) {
  return for_each_group(
      encodings.size(), session.batch_tokens(),
      [&](size_t i) { return static_cast<int64_t>(encodings[i].ids.size()); },
      [&](size_t first, size_t last) -> Status {
        Session::Scratch scratch(session);
        Batch batch;
        std::vector<Wanted> wanted;
        for (size_t i = first; i < last; ++i) {
          const Encoding& e = encodings[i];
          if (e.ids.empty()) continue;
          const int64_t start = batch.append(e.ids);
          for (size_t t = 1; t < e.ids.size(); ++t) {
            if (!e.special[t]) wanted.push_back({i, t, start + static_cast<int64_t>(t) - 1});
          }
        }
        if (wanted.empty()) return {};
        const View hidden = backbone_forward(session.network(), batch, {}, scratch.arena());
        read_logprobs(session, hidden, wanted, encodings, scratch.arena(), results);
        return {};
      });
}

// Every token of every text once behind a mask: pairs (text, token) are the sequences.
Status score_masked(const Session& session, std::span<const Encoding> encodings,
                    std::span<ScoreResult> results) {
  const int32_t mask = *session.tokenizer().mask_id();
  std::vector<Wanted> all;
  for (size_t i = 0; i < encodings.size(); ++i) {
    for (size_t t = 0; t < encodings[i].ids.size(); ++t) {
      if (!encodings[i].special[t]) all.push_back({i, t, 0});
    }
  }
  return for_each_group(
      all.size(), session.batch_tokens(),
      [&](size_t k) { return static_cast<int64_t>(encodings[all[k].text].ids.size()); },
      [&](size_t first, size_t last) -> Status {
        Session::Scratch scratch(session);
        Batch batch;
        std::vector<int32_t> masked;
        for (size_t k = first; k < last; ++k) {
          masked = encodings[all[k].text].ids;
          masked[all[k].token] = mask;
          all[k].row = batch.append(masked) + static_cast<int64_t>(all[k].token);
        }
        const View hidden = backbone_forward(session.network(), batch, {}, scratch.arena());
        read_logprobs(session, hidden, std::span(all).subspan(first, last - first), encodings,
                      scratch.arena(), results);
        return {};
      });
}

}  // namespace

Result<std::vector<ScoreResult>> score(const Session& session, std::span<const TextInput> inputs,
                                       const ScoreOptions& options) {
  if (session.config().head != Head::language_model) {
    return wrong_task(session, "score", "a language-model head",
                      "use embed or classify with this model");
  }
  ETTIN_ASSIGN_OR_RETURN(const std::vector<Encoding> encodings,
                         encode_inputs(session, inputs, options.over_length, true));
  const bool causal = session.config().arm.objective == Objective::clm;
  if (!causal && !session.tokenizer().mask_id()) {
    return Status(StatusCode::unsupported,
                  session.info().directory + ": the tokenizer has no [MASK] token");
  }
  std::vector<ScoreResult> results(inputs.size());
  ETTIN_RETURN_IF_ERROR(causal ? score_causal(session, encodings, results)
                               : score_masked(session, encodings, results));
  for (size_t i = 0; i < results.size(); ++i) {
    ScoreResult& r = results[i];
    r.truncated = encodings[i].truncated;
    for (const TokenScore& t : r.tokens) r.total += t.logprob;
    if (r.tokens.empty()) continue;
    r.perplexity = std::exp(-r.total / static_cast<double>(r.tokens.size()));
    const size_t bytes = inputs[i].text.size() + (inputs[i].pair ? inputs[i].pair->size() : 0);
    r.bits_per_byte = -r.total / std::numbers::ln2 / static_cast<double>(bytes);
  }
  return results;
}

}  // namespace ettin
