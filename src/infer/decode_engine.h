// The engine of generation: many streams, each a prompt on its way to its answer, in one batch.
//
// Every step runs the streams that wait for their next token, one row each, and as many rows of
// prompts as the step's budget leaves: long prompts come in chunks, so that they do not hold up the
// others. Prompts that begin alike compute that part once. None of it shows in an answer: a
// stream's tokens and logits are bit for bit those that it would get alone (backend.h: invariance).
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "base/arena.h"
#include "infer/decode_prefix.h"
#include "infer/session.h"

namespace ettin {

// Bounds of what runs at once; they change when an answer comes, never what it says.
struct DecodeLimits {
  size_t streams = 64;
  int64_t cache_bytes = int64_t{2} << 30;  // of all running streams' caches, when they have grown
  int64_t step_tokens = kBatchTokens;      // rows of a step in which nobody waits for a next token
  int64_t chunk_tokens = 512;              // rows of prompts in a step in which somebody does
  int64_t prefix_bytes = int64_t{256} << 20;  // of kept beginnings; 0: streams share nothing
  // Keep ended streams' prompts and answers too, for prompts that are yet to come: conversations
  // that go on, instructions that repeat. Otherwise only what submitted streams share is kept.
  bool keep_ended = false;
};

// What the model said next.
struct DecodedToken {
  TokenLogit chosen;
  std::span<const TokenLogit> best;  // the largest logits, max(1, options.top_logprobs) of them
  double normalizer = 0;             // logprob = logit - normalizer
  bool eos = false;                  // ends the stream
};

// Who gets a stream's tokens. Called inside step(), on its thread; may call submit and cancel.
class DecodeSink {
 public:
  virtual ~DecodeSink() = default;
  // False ends the stream.
  virtual bool on_token(const DecodedToken& token) = 0;
  // The last call for this stream. `stop`: on_token said so. `cached_tokens` of the prompt came
  // from what other streams had computed.
  virtual void on_end(FinishReason reason, int64_t cached_tokens) = 0;
};

struct DecodeRequest {
  std::vector<int32_t> ids;  // the prompt
  std::shared_ptr<const GenerateOptions>
      options;  // stop, over_length and first_stream are not read
  uint64_t sampler_stream = 0;
  DecodeSink* sink = nullptr;  // lives until its on_end
};

class DecodeEngine {
 public:
  using StreamId = uint64_t;

  // `session` outlives the engine. Precondition: a decoder with weights and a vocabulary head.
  explicit DecodeEngine(const Session& session, const DecodeLimits& limits = {});
  // Cancels what is left.
  ~DecodeEngine();
  DecodeEngine(const DecodeEngine&) = delete;
  DecodeEngine& operator=(const DecodeEngine&) = delete;

  // From any thread. An error for an empty or over-long prompt and for ids outside the vocabulary.
  Result<StreamId> submit(DecodeRequest request);
  // From any thread; takes effect before the next step. Ids of ended streams are ignored.
  void cancel(StreamId id);

  // One batch. False, and nothing done, when no stream is left. One thread at a time.
  bool step();
  // Steps until no stream is left.
  void run();
  // Steps, and waits for streams, until asked to stop.
  void serve(const std::stop_token& stop);

  const PrefixCache& prefixes() const { return prefixes_; }

 private:
  struct Stream;
  struct Part {  // of a step's batch
    Stream* stream;
    int64_t rows;
  };

  void read_mail();
  void admit();
  bool waits_for_prefix(Stream& stream);
  void start(Stream& stream);
  int64_t prompt_rows() const;
  void plan();
  void keep_prefixes();
  void answer(ConstView hidden, Arena& arena);
  void choose(std::span<Stream* const> streams, ConstView logits);
  void deliver(Stream& stream, const DecodedToken& token);
  void end(Stream& stream, FinishReason reason);

  const Session& session_;
  const DecodeLimits limits_;
  PrefixCache prefixes_;
  std::deque<std::unique_ptr<Stream>> waiting_;   // in order of arrival
  std::vector<std::unique_ptr<Stream>> running_;  // in order of admission
  int64_t reserved_bytes_ = 0;                    // of running streams' caches

  // Of one step; here to keep their memory.
  std::vector<Part> parts_;
  std::vector<Stream*> asking_;  // whose next token the step computes
  std::vector<size_t> sampled_;
  std::vector<TokenLogit> chosen_;
  std::vector<double> normalizers_;
  std::vector<TokenLogit> best_;
  std::vector<std::vector<double>> rows_;  // [threads]

  std::mutex mutex_;  // of what follows
  std::condition_variable_any mail_;
  std::vector<std::unique_ptr<Stream>> submitted_;
  std::vector<StreamId> cancelled_;
  StreamId next_id_ = 1;
};

}  // namespace ettin
