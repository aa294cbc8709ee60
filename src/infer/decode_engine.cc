#include "infer/decode_engine.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "infer/decode.h"
#include "infer/sampler.h"
#include "model/heads.h"

namespace ettin {
namespace {

// Fewer rows than this are all but free in a batch that streams the weights anyway, so they are
// worth neither a copy nor a step's wait.
constexpr int64_t kLeastShared = 32;
constexpr size_t kMostPoints = 8;    // of one prompt where what is computed so far is kept
constexpr int kMostWaits = 4;        // of one prompt for others that begin alike
constexpr size_t kLookahead = 256;   // waiting prompts that are compared with the running ones
constexpr int64_t kAnswerRoom = 64;  // tokens of an answer that its cache has room for at once

}  // namespace

struct DecodeEngine::Stream {
  Stream(StreamId stream_id, DecodeRequest r)
      : id(stream_id),
        request(std::move(r)),
        seen(std::move(request.ids)),
        prompt(static_cast<int64_t>(seen.size())),
        sampler(*request.options, request.sampler_stream) {}

  int64_t past() const { return cache ? cache->past() : 0; }
  // Ids that the cache does not hold yet: of the prompt, then the last token of the answer.
  std::span<const int32_t> pending() const {
    return std::span(seen).subspan(static_cast<size_t>(past()));
  }
  int64_t left() const { return static_cast<int64_t>(seen.size()) - past(); }
  bool in_prompt() const { return past() < prompt; }
  int64_t answered() const { return static_cast<int64_t>(seen.size()) - prompt; }

  // Asks for what is computed up to `position` to be kept when the prompt gets there.
  bool keep_at(int64_t position) {
    const auto at = std::lower_bound(points.begin(), points.end(), position);
    if (at != points.end() && *at == position) return true;
    if (points.size() == kMostPoints) return false;
    points.insert(at, position);
    return true;
  }

  StreamId id;
  DecodeRequest request;
  std::vector<int32_t> seen;  // prompt and answer
  int64_t prompt;             // ids of it
  Sampler sampler;
  int64_t most_tokens = 0;  // prompt and answer at their longest
  int64_t bytes = 0;        // of the cache then
  std::optional<KvCache> cache;
  std::vector<int64_t> points;  // ascending
  StreamId waits_for = 0;
  int waits = 0;
  int64_t cached_tokens = 0;
  bool ended = false;
};

namespace {

// Streams, and parts of a prompt, that must not share a pass take turns.
DecodeLimits limits_for(const Session& session, DecodeLimits limits) {
  if (session.batch_tokens() > 1) return limits;
  limits.streams = 1;
  limits.step_tokens = limits.chunk_tokens = session.max_tokens() + 1;
  limits.prefix_bytes = 0;
  return limits;
}

}  // namespace

DecodeEngine::DecodeEngine(const Session& session, const DecodeLimits& limits)
    : session_(session), limits_(limits_for(session, limits)), prefixes_(limits_.prefix_bytes) {
  ETTIN_CHECK(limits.streams > 0 && limits.step_tokens > 0 && limits.chunk_tokens > 0);
  ETTIN_CHECK(session.has_weights() && session.config().head == Head::language_model);
  rows_.resize(static_cast<size_t>(session.backend().threads().size()));
}

DecodeEngine::~DecodeEngine() {
  read_mail();
  for (const auto& s : running_) end(*s, FinishReason::cancelled);
  for (const auto& s : waiting_) end(*s, FinishReason::cancelled);
}

Result<DecodeEngine::StreamId> DecodeEngine::submit(DecodeRequest request) {
  ETTIN_CHECK(request.sink != nullptr && request.options != nullptr);
  const auto tokens = static_cast<int64_t>(request.ids.size());
  if (tokens == 0) return Status(StatusCode::invalid_argument, "a prompt has no tokens");
  if (tokens >= session_.max_tokens()) {
    return Status(StatusCode::too_long,
                  fmt::format("a prompt has {} tokens; with one to generate this model reads at "
                              "most {}",
                              tokens, session_.max_tokens() - 1));
  }
  for (const int32_t id : request.ids) {
    if (id < 0 || id >= session_.config().vocab_size) {
      return Status(
          StatusCode::invalid_argument,
          fmt::format("id {} is outside the vocabulary of {}", id, session_.config().vocab_size));
    }
  }
  const int64_t wanted = request.options->max_new_tokens;
  if (wanted < 1) return Status(StatusCode::invalid_argument, "max_new_tokens is below 1");
  const std::lock_guard lock(mutex_);
  auto stream = std::make_unique<Stream>(next_id_++, std::move(request));
  // The last token of an answer is not read again: it needs no place in the cache.
  stream->most_tokens =
      wanted < session_.max_tokens() - tokens ? tokens + wanted : session_.max_tokens();
  stream->bytes =
      KvCache::bytes_for(session_.config(), session_.backend().cache_dtype(), stream->most_tokens);
  const StreamId id = stream->id;
  submitted_.push_back(std::move(stream));
  mail_.notify_one();
  return id;
}

void DecodeEngine::cancel(StreamId id) {
  const std::lock_guard lock(mutex_);
  cancelled_.push_back(id);
  mail_.notify_one();
}

bool DecodeEngine::step() {
  read_mail();
  admit();
  plan();
  if (parts_.empty()) return false;
  Session::Scratch scratch(session_);
  std::vector<DecodeInput> inputs;
  inputs.reserve(parts_.size());
  asking_.clear();
  for (const Part& part : parts_) {
    Stream& s = *part.stream;
    const bool wanted = part.rows == s.left();
    inputs.push_back({&*s.cache, s.pending().first(static_cast<size_t>(part.rows)), wanted});
    if (wanted) asking_.push_back(&s);
  }
  const View hidden = decode_step(session_, inputs, scratch.arena());
  keep_prefixes();
  answer(hidden, scratch.arena());
  std::erase_if(running_, [](const auto& s) { return s->ended; });
  return true;
}

void DecodeEngine::run() {
  while (step()) {
  }
}

void DecodeEngine::serve(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (step()) continue;
    std::unique_lock lock(mutex_);
    mail_.wait(lock, stop, [this] { return !submitted_.empty() || !cancelled_.empty(); });
  }
}

void DecodeEngine::read_mail() {
  std::vector<StreamId> cancelled;
  {
    const std::lock_guard lock(mutex_);
    for (auto& s : submitted_) waiting_.push_back(std::move(s));
    submitted_.clear();
    cancelled.swap(cancelled_);
  }
  for (const StreamId id : cancelled) {
    const auto is_it = [id](const auto& s) { return s->id == id; };
    if (const auto r = std::find_if(running_.begin(), running_.end(), is_it); r != running_.end()) {
      end(**r, FinishReason::cancelled);
      running_.erase(r);
    } else if (const auto w = std::find_if(waiting_.begin(), waiting_.end(), is_it);
               w != waiting_.end()) {
      end(**w, FinishReason::cancelled);
      waiting_.erase(w);
    }
  }
}

// Rows of prompts that the next step may run.
int64_t DecodeEngine::prompt_rows() const {
  const bool held_up =
      std::any_of(running_.begin(), running_.end(), [](const auto& s) { return !s->in_prompt(); });
  return held_up ? limits_.chunk_tokens : limits_.step_tokens;
}

// Lets waiting streams in, in order, as far as the next step has rows and the limits room for them.
void DecodeEngine::admit() {
  if (waiting_.empty()) return;
  int64_t room = prompt_rows();
  for (const auto& s : running_) room -= s->in_prompt() ? s->left() : 0;
  bool open = true;
  size_t looked = 0;
  for (auto w = waiting_.begin(); w != waiting_.end() && looked < kLookahead; ++looked) {
    Stream& s = **w;
    if (waits_for_prefix(s)) {
      ++w;
      continue;
    }
    open = open && room > 0 && running_.size() < limits_.streams &&
           (running_.empty() || reserved_bytes_ + s.bytes <= limits_.cache_bytes);
    if (!open) {
      ++w;  // those behind it may still share what is about to be computed
      continue;
    }
    start(s);
    room -= s.left();
    running_.push_back(std::move(*w));
    w = waiting_.erase(w);
  }
}

// Whether a running prompt is about to compute a good part of this one. Then it is kept there.
bool DecodeEngine::waits_for_prefix(Stream& s) {
  if (limits_.prefix_bytes <= 0) return false;
  Stream* leader = nullptr;
  int64_t most = kLeastShared - 1;
  for (const auto& r : running_) {
    if (!r->in_prompt()) continue;
    const int64_t shared =
        std::min(common_prefix(std::span(r->seen), std::span(s.seen)), s.prompt - 1);
    if (shared <= most || shared <= r->past()) continue;
    leader = r.get();
    most = shared;
  }
  if (leader == nullptr) return false;
  if (most - prefixes_.find(s.seen).tokens < kLeastShared) return false;
  const int64_t bytes =
      KvCache::bytes_for(session_.config(), session_.backend().cache_dtype(), most);
  if (2 * bytes > limits_.prefix_bytes) return false;
  // Whoever keeps losing what it waited for to other beginnings computes it itself.
  if (s.waits_for != leader->id && s.waits == kMostWaits) return false;
  if (!leader->keep_at(most)) return false;
  if (std::exchange(s.waits_for, leader->id) != leader->id) ++s.waits;
  return true;
}

void DecodeEngine::start(Stream& s) {
  const int64_t answer_room = std::min(s.most_tokens - s.prompt, kAnswerRoom);
  const PrefixCache::Match match = prefixes_.use(s.seen);
  if (match.tokens >= kLeastShared) {
    s.cached_tokens = match.tokens;
    s.cache = match.cache->copy(match.tokens, s.prompt - match.tokens + answer_room, s.most_tokens);
  } else {
    s.cache.emplace(session_.config(), session_.backend().cache_dtype(), s.most_tokens);
    s.cache->reserve(s.prompt + answer_room);
  }
  reserved_bytes_ += s.bytes;
}

// The next step's batch: next tokens first, then chunks of prompts, up to the places in them where
// what is computed shall be kept.
void DecodeEngine::plan() {
  parts_.clear();
  int64_t room = prompt_rows();
  for (const auto& s : running_) {
    if (!s->in_prompt()) parts_.push_back({s.get(), 1});
  }
  for (const auto& s : running_) {
    if (!s->in_prompt() || room <= 0) continue;
    int64_t rows = std::min(s->left(), room);
    if (!s->points.empty()) rows = std::min(rows, s->points.front() - s->past());
    parts_.push_back({s.get(), rows});
    room -= rows;
  }
}

void DecodeEngine::keep_prefixes() {
  for (const Part& part : parts_) {
    Stream& s = *part.stream;
    const bool point = !s.points.empty() && s.points.front() == s.past();
    if (point) s.points.erase(s.points.begin());
    if (point || (limits_.keep_ended && s.past() == s.prompt)) {
      prefixes_.insert(std::span(s.seen).first(static_cast<size_t>(s.past())),
                       s.cache->copy(s.past()));
    }
  }
}

// Chooses and hands out the next token of every asking stream.
void DecodeEngine::answer(ConstView hidden, Arena& arena) {
  for (size_t at = 0; at < asking_.size(); at += kLogitRows) {
    const size_t n = std::min<size_t>(kLogitRows, asking_.size() - at);
    const Arena::Mark mark = arena.mark();
    std::vector<int64_t> rows(n);
    std::iota(rows.begin(), rows.end(), static_cast<int64_t>(at));
    const View logits = vocab_logits(session_.network(), hidden, rows, arena);
    choose(std::span(asking_).subspan(at, n), logits);
    arena.release_to(mark);
  }
}

void DecodeEngine::choose(std::span<Stream* const> streams, ConstView logits) {
  const Backend& backend = session_.backend();
  const auto count = [&](const Stream& s) {
    return std::min(std::max<int64_t>(s.request.options->top_logprobs, 1), logits.cols);
  };
  int64_t k = 1;
  for (const Stream* s : streams) k = std::max(k, count(*s));
  normalizers_.resize(streams.size());
  best_.resize(streams.size() * static_cast<size_t>(k));
  backend.log_sum_exp(logits, normalizers_);
  backend.top_k(logits, k, best_);

  chosen_.resize(streams.size());
  sampled_.clear();
  for (size_t i = 0; i < streams.size(); ++i) {
    chosen_[i] = best_[i * static_cast<size_t>(k)];
    if (!streams[i]->sampler.is_plain_greedy()) sampled_.push_back(i);
  }
  backend.threads().parallel_for(
      static_cast<int64_t>(sampled_.size()), [&](int64_t index, int worker) {
        const size_t i = sampled_[static_cast<size_t>(index)];
        const ConstView row = logits.slice_rows(static_cast<int64_t>(i), 1);
        std::vector<double>& values = rows_[static_cast<size_t>(worker)];
        values.resize(static_cast<size_t>(logits.cols));
        backend.copy_to_host(row, std::span(values));
        TokenLogit& chosen = chosen_[i];
        chosen.id = streams[i]->sampler.choose(values, streams[i]->seen);  // overwrites values
        backend.copy_to_host(row.slice_cols(chosen.id, 1), std::span(&chosen.logit, 1));
      });

  const std::vector<int32_t>& eos = session_.eos_ids();
  for (size_t i = 0; i < streams.size(); ++i) {
    Stream& s = *streams[i];
    const bool ends = !s.request.options->ignore_eos &&
                      std::find(eos.begin(), eos.end(), chosen_[i].id) != eos.end();
    deliver(s, {chosen_[i],
                std::span(best_).subspan(i * static_cast<size_t>(k), static_cast<size_t>(count(s))),
                normalizers_[i], ends});
  }
}

void DecodeEngine::deliver(Stream& s, const DecodedToken& token) {
  s.seen.push_back(token.chosen.id);
  if (!s.request.sink->on_token(token)) {
    end(s, FinishReason::stop);
  } else if (token.eos) {
    end(s, FinishReason::eos);
  } else if (static_cast<int64_t>(s.seen.size()) >= s.most_tokens) {
    end(s, FinishReason::length);
  }
}

void DecodeEngine::end(Stream& s, FinishReason reason) {
  s.ended = true;
  if (s.cache) {
    reserved_bytes_ -= s.bytes;
    if (limits_.keep_ended) {
      const auto past = static_cast<size_t>(s.past());
      prefixes_.insert(std::span(s.seen).first(past), std::move(*s.cache));
    }
    s.cache.reset();
  }
  s.request.sink->on_end(reason, s.cached_tokens);
}

}  // namespace ettin
