#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "infer/tasks/tasks.h"
#include "model/heads.h"

namespace ettin {
namespace {

Status validate(const Session& session, std::span<const ForwardInput> inputs) {
  const ModelConfig& c = session.config();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto tokens = static_cast<int64_t>(inputs[i].input_ids.size());
    if (tokens == 0) {
      return Status(StatusCode::invalid_argument, fmt::format("input {}: no input_ids", i));
    }
    if (tokens > c.max_positions) {
      return Status(StatusCode::too_long,
                    fmt::format("input {} has {} tokens; this model reads at most {}", i, tokens,
                                c.max_positions));
    }
    for (const int32_t id : inputs[i].input_ids) {
      if (id < 0 || id >= c.vocab_size) {
        return Status(
            StatusCode::invalid_argument,
            fmt::format("input {}: id {} is outside the vocabulary of {}", i, id, c.vocab_size));
      }
    }
    if (!inputs[i].logit_rows) continue;
    for (const int64_t row : *inputs[i].logit_rows) {
      if (row < 0 || row >= tokens) {
        return Status(
            StatusCode::invalid_argument,
            fmt::format("input {}: logit row {} is outside its {} tokens", i, row, tokens));
      }
    }
  }
  return {};
}

}  // namespace

Result<std::vector<ForwardOutput>> forward(const Session& session,
                                           std::span<const ForwardInput> inputs) {
  ETTIN_RETURN_IF_ERROR(validate(session, inputs));
  const ModelConfig& c = session.config();
  const Backend& backend = session.backend();
  std::vector<ForwardOutput> outputs(inputs.size());

  // Copies logits [rows, cols] behind what output `o` already holds.
  const auto keep = [&](ForwardOutput* o, ConstView logits) {
    o->logit_cols = logits.cols;
    o->logit_rows += logits.rows;
    const size_t before = o->logits.size();
    o->logits.resize(before + static_cast<size_t>(logits.rows * logits.cols));
    backend.copy_to_host(logits, std::span(o->logits).subspan(before));
  };

  const Status status = for_each_group(
      inputs.size(), session.batch_tokens(),
      [&](size_t i) { return static_cast<int64_t>(inputs[i].input_ids.size()); },
      [&](size_t first, size_t last) -> Status {
        Session::Scratch scratch(session);
        Arena& arena = scratch.arena();
        Batch batch;
        for (size_t i = first; i < last; ++i) batch.append(inputs[i].input_ids);
        const View hidden = backbone_forward(session.network(), batch, {}, arena);
        const View labels = c.head == Head::sequence_classification
                                ? sequence_logits(session.network(), hidden, batch.starts, arena)
                                : View{};
        for (size_t i = first; i < last; ++i) {
          ForwardOutput& o = outputs[i];
          const size_t n = i - first;
          const int64_t start = batch.starts[n], tokens = batch.starts[n + 1] - start;
          o.tokens = tokens;
          o.hidden.resize(static_cast<size_t>(tokens * c.hidden_size));
          const View own = hidden.slice_rows(start, tokens);
          backend.copy_to_host(own, std::span(o.hidden));
          const Arena::Mark mark = arena.mark();
          if (c.head == Head::sequence_classification) {
            keep(&o, labels.slice_rows(static_cast<int64_t>(n), 1));
          } else if (c.head == Head::token_classification) {
            keep(&o, token_logits(session.network(), own, arena));
          } else if (c.head == Head::language_model) {
            std::vector<int64_t> rows;
            if (inputs[i].logit_rows) {
              rows = *inputs[i].logit_rows;
            } else {
              rows.resize(static_cast<size_t>(tokens));
              std::iota(rows.begin(), rows.end(), 0);
            }
            o.logit_cols = c.vocab_size;
            for (size_t at = 0; at < rows.size(); at += kLogitRows) {
              const size_t count = std::min<size_t>(kLogitRows, rows.size() - at);
              keep(&o,
                   vocab_logits(session.network(), own, std::span(rows).subspan(at, count), arena));
              arena.release_to(mark);
            }
          }
          arena.release_to(mark);
        }
        return {};
      });
  ETTIN_RETURN_IF_ERROR(status);
  return outputs;
}

}  // namespace ettin
