#include "infer/bench_hooks.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "infer/decode.h"
#include "infer/encode.h"
#include "infer/session.h"
#include "model/heads.h"

namespace ettin {
namespace {

class Timer {
 public:
  double ms() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Status check_ids(const Session& session, std::span<const int32_t> ids, int64_t more) {
  ETTIN_RETURN_IF_ERROR(need_weights(session));
  const ModelConfig& c = session.config();
  if (ids.empty()) return Status(StatusCode::invalid_argument, "a sequence has no ids");
  if (static_cast<int64_t>(ids.size()) + more > c.max_positions) {
    return Status(StatusCode::too_long,
                  fmt::format("{} tokens; this model reads at most {}",
                              static_cast<int64_t>(ids.size()) + more, c.max_positions));
  }
  for (const int32_t id : ids) {
    if (id < 0 || id >= c.vocab_size) {
      return Status(StatusCode::invalid_argument,
                    fmt::format("id {} is outside the vocabulary of {}", id, c.vocab_size));
    }
  }
  return {};
}

Status check_causal(const Session& session) {
  if (session.config().arm.direction == Direction::causal &&
      session.config().head == Head::language_model) {
    return {};
  }
  return Status(StatusCode::unsupported, "decoding needs a decoder with a language-model head");
}

// The logits of the next token after `pending`.
View next_logits(const Session& session, KvCache* cache, std::span<const int32_t> pending,
                 Arena& arena) {
  const DecodeInput inputs[] = {{cache, pending}};
  const View hidden = decode_step(session, inputs, arena);
  const int64_t row[] = {0};
  return vocab_logits(session.network(), hidden, row, arena);
}

// All rows of `wanted`, in pieces, thrown away.
void run_head(const Session& session, ConstView hidden, std::span<const int64_t> wanted,
              Arena& arena) {
  for (size_t at = 0; at < wanted.size(); at += kLogitRows) {
    const Arena::Mark mark = arena.mark();
    const size_t n = std::min<size_t>(kLogitRows, wanted.size() - at);
    vocab_logits(session.network(), hidden, wanted.subspan(at, n), arena);
    arena.release_to(mark);
  }
}

}  // namespace

Result<double> time_forward(const Model& model, std::span<const std::vector<int32_t>> sequences,
                            int head_rows) {
  const Session& session = model.session();
  for (const auto& ids : sequences) ETTIN_RETURN_IF_ERROR(check_ids(session, ids, 0));
  if (head_rows != 0 && session.config().head != Head::language_model) {
    return Status(StatusCode::unsupported, "this model has no vocabulary head", "use --head 0");
  }
  const Timer timer;
  const Status status = for_each_group(
      sequences.size(), kBatchTokens,
      [&](size_t i) { return static_cast<int64_t>(sequences[i].size()); },
      [&](size_t first, size_t last) -> Status {
        Session::Scratch scratch(session);
        Batch batch;
        for (size_t i = first; i < last; ++i) batch.append(sequences[i]);
        const View hidden = backbone_forward(session.network(), batch, {}, scratch.arena());
        std::vector<int64_t> rows;
        if (head_rows > 0) rows.assign(batch.starts.begin(), batch.starts.end() - 1);
        if (head_rows < 0) {
          rows.resize(static_cast<size_t>(batch.tokens()));
          std::iota(rows.begin(), rows.end(), 0);
        }
        run_head(session, hidden, rows, scratch.arena());
        return {};
      });
  ETTIN_RETURN_IF_ERROR(status);
  return timer.ms();
}

Status check_forward(const Model& model, std::span<const std::vector<int32_t>> sequences) {
  const Session& session = model.session();
  for (const auto& ids : sequences) ETTIN_RETURN_IF_ERROR(check_ids(session, ids, 0));
  return for_each_group(
      sequences.size(), kBatchTokens,
      [&](size_t i) { return static_cast<int64_t>(sequences[i].size()); },
      [&](size_t first, size_t last) -> Status {
        Session::Scratch scratch(session);
        Batch batch;
        for (size_t i = first; i < last; ++i) batch.append(sequences[i]);
        const View hidden = backbone_forward(session.network(), batch, {}, scratch.arena());
        std::vector<float> values(static_cast<size_t>(hidden.rows * hidden.cols));
        session.backend().copy_to_host(hidden, values);
        if (std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
          return {};
        }
        return Status(StatusCode::bad_data, "the forward pass gave values that are not finite",
                      "check the weights of this model");
      });
}

Result<double> time_prefill(const Model& model, std::span<const int32_t> prompt) {
  const Session& session = model.session();
  ETTIN_RETURN_IF_ERROR(check_causal(session));
  ETTIN_RETURN_IF_ERROR(check_ids(session, prompt, 0));
  const Timer timer;
  KvCache cache(session.config(), session.backend().cache_dtype());
  Session::Scratch scratch(session);
  next_logits(session, &cache, prompt, scratch.arena());
  return timer.ms();
}

Result<double> time_decode(const Model& model, std::span<const int32_t> prompt,
                           int64_t new_tokens) {
  const Session& session = model.session();
  ETTIN_RETURN_IF_ERROR(check_causal(session));
  ETTIN_RETURN_IF_ERROR(check_ids(session, prompt, new_tokens));
  KvCache cache(session.config(), session.backend().cache_dtype());
  TokenLogit best[1];
  {
    Session::Scratch scratch(session);
    session.backend().top_k(next_logits(session, &cache, prompt, scratch.arena()), 1, best);
  }
  const Timer timer;
  for (int64_t i = 0; i < new_tokens; ++i) {
    Session::Scratch scratch(session);
    const int32_t next[] = {best[0].id};
    session.backend().top_k(next_logits(session, &cache, next, scratch.arena()), 1, best);
  }
  return timer.ms();
}

}  // namespace ettin
