// A loaded model ready for requests: network, tokenizer, settings of its folder. Immutable after
// load and safe to use from many threads; every call borrows scratch memory of its own.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/arena.h"
#include "ettin/ettin.h"
#include "formats/sentence_transformers.h"
#include "model/backbone.h"
#include "text/tokenizer.h"

namespace ettin {

// The modules after the transformer of a sentence-transformers folder, packed.
struct EmbeddingModule {
  enum class Kind : uint8_t { dense, layer_norm, normalize } kind = Kind::normalize;
  LinearWeight dense;
  Activation activation = Activation::identity;
  NormWeight norm;
};

struct EmbeddingSettings {
  std::optional<Pooling> pooling;
  std::vector<EmbeddingModule> modules;  // applied in order after pooling
  std::vector<std::pair<std::string, std::string>> prompts;
  std::string default_prompt;
  std::optional<int64_t> max_length;
};

// Rows that one pass computes at once: enough to fill the caches, small enough to bound memory.
inline constexpr int64_t kBatchTokens = 4096;

// An error for a format or a number of threads that no model could be loaded with: for callers that
// fetch a model first.
Status check_options(const ModelOptions& options);

class Session {
 public:
  static Result<std::shared_ptr<const Session>> load(const std::string& path,
                                                     const ModelOptions& options);
  static Result<std::shared_ptr<const Session>> random(std::string_view size, bool decoder,
                                                       uint64_t seed, const ModelOptions& options);

  const ModelInfo& info() const { return info_; }
  const Network& network() const { return network_; }  // to be run only when has_weights()
  const ModelConfig& config() const { return network_.config; }
  const Backend& backend() const { return *network_.backend; }
  const EmbeddingSettings& embedding() const { return embedding_; }
  const std::vector<int32_t>& eos_ids() const { return eos_ids_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  bool has_weights() const { return network_.rope != nullptr; }
  bool has_tokenizer() const { return tokenizer_ != nullptr; }
  // Precondition: has_tokenizer().
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  // Rows that one pass may compute at once; 1 where sequences must not share a pass.
  int64_t batch_tokens() const { return alone_ ? 1 : kBatchTokens; }
  // Longest input in tokens.
  int64_t max_tokens() const { return max_tokens_; }

  // Scratch of one running call; goes back to the session when it is destroyed.
  class Scratch {
   public:
    explicit Scratch(const Session& session);
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    Arena& arena() { return *arena_; }

   private:
    const Session& session_;
    std::unique_ptr<Arena> arena_;
  };

 private:
  Network network_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  EmbeddingSettings embedding_;
  std::vector<int32_t> eos_ids_;
  std::vector<std::string> warnings_;
  int64_t max_tokens_ = 0;
  bool alone_ = false;
  ModelInfo info_;
  mutable std::mutex scratch_mutex_;
  mutable std::vector<std::unique_ptr<Arena>> idle_scratch_;
};

// Rows of vocabulary logits that are held at once.
inline constexpr int64_t kLogitRows = 64;

// Calls fn(first, last) for consecutive groups of items whose lengths sum to at most `budget` (one
// longer item makes a group of its own). fn returns Status; the first error ends the walk.
template <class LengthOf, class Fn>
Status for_each_group(size_t count, int64_t budget, LengthOf length_of, Fn fn) {
  for (size_t first = 0; first < count;) {
    size_t last = first;
    int64_t sum = 0;
    while (last < count && (last == first || sum + length_of(last) <= budget)) {
      sum += length_of(last++);
    }
    ETTIN_RETURN_IF_ERROR(fn(first, last));
    first = last;
  }
  return {};
}

}  // namespace ettin
