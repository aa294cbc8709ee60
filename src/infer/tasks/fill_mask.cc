// Contract: Hugging Face's fill-mask pipeline (every mask answered, softmax over the vocabulary).
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "infer/encode.h"
#include "infer/tasks/tasks.h"
#include "model/heads.h"

namespace ettin {
namespace {

// Vocabulary ids of the wanted words, in their order, each once.
Result<std::vector<int32_t>> target_ids(const Session& session,
                                        const std::vector<std::string>& targets,
                                        std::vector<std::string>* notes) {
  std::vector<int32_t> ids;
  const Tokenizer& tokenizer = session.tokenizer();
  EncodeOptions bare;
  bare.add_special_tokens = false;
  for (const std::string& target : targets) {
    std::optional<int32_t> id = tokenizer.token_id(target);
    if (!id) {
      const Encoding e = tokenizer.encode(target, bare);
      if (e.ids.empty()) {
        return Status(
            StatusCode::invalid_argument, fmt::format("target \"{}\" has no token", target),
            "give words; most words in a sentence need their leading space, as in \" Paris\"");
      }
      id = e.ids[0];
      if (e.ids.size() > 1) {
        notes->push_back(fmt::format("target \"{}\" is {} tokens; its first, \"{}\", competes",
                                     target, e.ids.size(), tokenizer.decode_bytes(*id)));
      }
    }
    if (std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
  }
  return ids;
}

// One mask position of the call.
struct Mask {
  size_t input;
  size_t position;
};

}  // namespace

Result<std::vector<FillMaskResult>> fill_mask(const Session& session,
                                              std::span<const TextInput> inputs,
                                              const FillMaskOptions& options) {
  const ModelConfig& c = session.config();
  if (c.arm.objective != Objective::mlm || c.head != Head::language_model) {
    return wrong_task(session, "fill-mask", "an encoder with a language-model head",
                      c.arm.objective == Objective::clm ? "use generate or score with a decoder"
                                                        : "use embed or classify with this model");
  }
  if (options.top_k < 1) {
    return Status(StatusCode::invalid_argument, "top_k is below 1", "ask for at least one word");
  }
  ETTIN_ASSIGN_OR_RETURN(std::vector<Encoding> encodings,
                         encode_inputs(session, inputs, options.over_length, false));
  const Tokenizer& tokenizer = session.tokenizer();
  if (!tokenizer.mask_id()) {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: the tokenizer has no [MASK] token", session.info().directory));
  }
  std::vector<std::string> notes;
  ETTIN_ASSIGN_OR_RETURN(const std::vector<int32_t> targets,
                         target_ids(session, options.targets, &notes));

  std::vector<FillMaskResult> results(inputs.size());
  std::vector<std::vector<Mask>> masks(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<int32_t>& ids = encodings[i].ids;
    results[i].num_tokens = static_cast<int64_t>(ids.size());
    results[i].truncated = encodings[i].truncated;
    results[i].notes = notes;
    for (size_t p = 0; p < ids.size(); ++p) {
      if (ids[p] == *tokenizer.mask_id()) masks[i].push_back({i, p});
    }
    if (masks[i].empty()) {
      return Status(StatusCode::invalid_argument, fmt::format("text {} has no [MASK]", i),
                    encodings[i].truncated ? "its [MASK] was cut off by truncation"
                                           : "mark the word to fill, as in \"The capital of "
                                             "France is [MASK].\"");
    }
    if (options.first_mask_only) masks[i].erase(masks[i].begin() + 1, masks[i].end());
    results[i].masks.resize(masks[i].size());
  }

  const Backend& backend = session.backend();
  const int64_t wanted =
      targets.empty() ? std::min(options.top_k, c.vocab_size)
                      : std::min<int64_t>(options.top_k, static_cast<int64_t>(targets.size()));
  std::vector<TokenLogit> best;
  std::vector<double> normalizer;

  // Fills mask number `m` of its text from row `r` of the logits.
  const auto answer = [&](const Mask& mask, size_t m, ConstView logits, int64_t r) {
    std::vector<TokenLogit> found;
    if (targets.empty()) {
      found.assign(best.begin() + r * wanted, best.begin() + (r + 1) * wanted);
    } else {
      std::vector<float> row(static_cast<size_t>(c.vocab_size));
      backend.copy_to_host(logits.slice_rows(r, 1), std::span(row));
      for (const int32_t id : targets) found.push_back({id, row[static_cast<size_t>(id)]});
      std::sort(found.begin(), found.end(), [](const TokenLogit& a, const TokenLogit& b) {
        return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
      });
      found.resize(static_cast<size_t>(wanted));
    }
    // With several masks the other masks stay visible, as in Hugging Face pipelines.
    const bool only_mask = masks[mask.input].size() == 1;
    std::vector<int32_t> filled = encodings[mask.input].ids;
    for (const TokenLogit& t : found) {
      filled[mask.position] = t.id;
      results[mask.input].masks[m].push_back(
          {std::exp(t.logit - normalizer[static_cast<size_t>(r)]), t.id,
           tokenizer.decode(std::span(&t.id, 1), false), tokenizer.decode(filled, only_mask)});
    }
  };

  const Status status = for_each_group(
      inputs.size(), session.batch_tokens(), [&](size_t i) { return results[i].num_tokens; },
      [&](size_t first, size_t last) -> Status {
        Session::Scratch scratch(session);
        Batch batch;
        std::vector<int64_t> rows;
        std::vector<std::pair<Mask, size_t>> order;
        for (size_t i = first; i < last; ++i) {
          const int64_t start = batch.append(encodings[i].ids);
          for (size_t m = 0; m < masks[i].size(); ++m) {
            rows.push_back(start + static_cast<int64_t>(masks[i][m].position));
            order.emplace_back(masks[i][m], m);
          }
        }
        const View hidden = backbone_forward(session.network(), batch, {}, scratch.arena());
        for (size_t at = 0; at < rows.size(); at += kLogitRows) {
          const size_t n = std::min<size_t>(kLogitRows, rows.size() - at);
          const Arena::Mark mark = scratch.arena().mark();
          const View logits = vocab_logits(session.network(), hidden,
                                           std::span(rows).subspan(at, n), scratch.arena());
          normalizer.resize(n);
          backend.log_sum_exp(logits, normalizer);
          if (targets.empty()) {
            best.resize(n * static_cast<size_t>(wanted));
            backend.top_k(logits, wanted, best);
          }
          for (size_t r = 0; r < n; ++r) {
            answer(order[at + r].first, order[at + r].second, logits, static_cast<int64_t>(r));
          }
          scratch.arena().release_to(mark);
        }
        return {};
      });
  ETTIN_RETURN_IF_ERROR(status);
  return results;
}

}  // namespace ettin
