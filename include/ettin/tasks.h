// Requests and answers of every task: plain values, shared by the C++ library, the command line and
// the bindings. Scores and log-probabilities are natural logarithms in double precision.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ettin {

// One text, or a pair that is encoded as [CLS] text [SEP] pair [SEP].
struct TextInput {
  std::string text;
  std::optional<std::string> pair = std::nullopt;
};

// What every task may be told about over-long input: an error that says how long (the default), or
// truncation on the right to the model's positions, reported in `truncated` of the answer.
enum class OverLength : uint8_t { error, truncate };

// --- fill-mask ----------------------------------------------------------------------------------
struct FillMaskOptions {
  int64_t top_k = 5;
  // Only these words compete: each is a vocabulary entry, or its first token counts (with a notice
  // in FillMaskResult::notes). Scores are not renormalised, as in Hugging Face pipelines.
  std::vector<std::string> targets;
  bool first_mask_only = false;  // transformers.js answers only the first mask
  OverLength over_length = OverLength::error;
};

struct FillMaskCandidate {
  double score = 0;  // softmax probability over the whole vocabulary
  int32_t token = 0;
  std::string token_str;  // " Paris": a leading space is part of the token
  std::string sequence;   // the text with this mask filled
};

struct FillMaskResult {
  std::vector<std::vector<FillMaskCandidate>> masks;  // in text order, best candidate first
  int64_t num_tokens = 0;
  bool truncated = false;
  std::vector<std::string> notes;
};

// --- generate -----------------------------------------------------------------------------------
struct GenerateOptions {
  int64_t max_new_tokens = 64;
  double temperature = 0;         // 0: greedy. Otherwise logits are divided by it before sampling
  int64_t top_k = 0;              // keep the k most likely; 0: all
  double top_p = 1;               // keep the smallest set with at least this probability
  double min_p = 0;               // drop tokens below min_p times the most likely one
  double repetition_penalty = 1;  // each distinct id of prompt and answer: l < 0 ? l * p : l / p
  uint64_t seed = 0;              // answer i of a call draws from stream first_stream + i of it
  uint64_t first_stream = 0;      // for callers that hand over many prompts in several calls
  std::vector<std::string> stop;  // generation ends before the first of these
  int64_t top_logprobs = 0;       // alternatives reported per token
  bool ignore_eos = false;
  OverLength over_length = OverLength::error;  // truncate: keeps the end of the prompt
};

struct TokenLogprob {
  int32_t token = 0;
  std::string token_str;
  double logprob = 0;  // of the model, before temperature, penalties and filters
};

struct GeneratedToken : TokenLogprob {
  std::vector<TokenLogprob> top;
};

enum class FinishReason : uint8_t { length, eos, stop, cancelled };

struct GenerateResult {
  std::string text;  // the continuation only, without special tokens and stop strings
  std::vector<GeneratedToken> tokens;
  FinishReason finish_reason = FinishReason::length;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of them, taken from prompts of the same call that begin alike
  bool truncated = false;
};

// Called with each piece of text as it becomes final (always whole UTF-8 characters); `index` is
// the prompt's. Return false to cancel that prompt.
using GenerateCallback = std::function<bool(size_t index, std::string_view text)>;

// --- embed --------------------------------------------------------------------------------------
struct EmbedOptions {
  // Empty: what the model folder's sentence-transformers files say, else "mean".
  std::optional<std::string> pooling;  // "mean", "cls", "last", "weighted_mean"
  std::optional<bool> normalize;       // empty: what the folder says, else false
  std::string prompt_name;             // a named prompt of config_sentence_transformers.json
  OverLength over_length = OverLength::error;
};

struct EmbedResult {
  int64_t rows = 0;
  int64_t dimensions = 0;
  std::vector<float> values;        // rows x dimensions, row-major
  std::vector<int64_t> num_tokens;  // per row
  std::vector<bool> truncated;      // per row
};

// --- score --------------------------------------------------------------------------------------
struct ScoreOptions {
  OverLength over_length = OverLength::error;
};

struct TokenScore {
  int32_t token = 0;
  std::string token_str;
  double logprob = 0;
  std::pair<uint32_t, uint32_t> bytes;  // half-open range in the text
};

// Decoders: log p(token | everything before it), beginning with [CLS]. Encoders: the
// pseudo-log-likelihood (Salazar et al. 2020), one [MASK] per token, all other tokens visible.
struct ScoreResult {
  std::vector<TokenScore> tokens;
  double total = 0;          // sum of logprob
  double perplexity = 0;     // exp(-total / tokens)
  double bits_per_byte = 0;  // -total / ln 2 / bytes of text
  bool truncated = false;
};

// --- classify -----------------------------------------------------------------------------------
enum class ScoreFunction : uint8_t { automatic, softmax, sigmoid, none };

struct ClassifyOptions {
  int64_t top_k = 1;  // 0: all labels
  // automatic: sigmoid for multi-label models and single-label ones, none for regression, softmax
  // otherwise.
  ScoreFunction function = ScoreFunction::automatic;
  OverLength over_length = OverLength::error;
};

struct LabelScore {
  std::string label;
  double score = 0;
};

struct ClassifyResult {
  std::vector<LabelScore> labels;  // best first
  int64_t num_tokens = 0;
  bool truncated = false;
};

// --- token-classify -----------------------------------------------------------------------------
enum class Aggregation : uint8_t { none, simple, first, average, max };

struct TokenClassifyOptions {
  Aggregation aggregation = Aggregation::none;
  std::vector<std::string> ignore_labels = {"O"};
  OverLength over_length = OverLength::error;
};

struct Entity {
  std::string label;  // "B-PER" without aggregation, "PER" with it
  double score = 0;
  int64_t index = -1;  // token index, without aggregation only
  std::string word;
  uint32_t start = 0;  // half-open range of characters (code points) of the text
  uint32_t end = 0;
};

struct TokenClassifyResult {
  std::vector<Entity> entities;
  int64_t num_tokens = 0;
  bool truncated = false;
};

// --- tokenize -----------------------------------------------------------------------------------
struct TokenizeResult {
  std::vector<int32_t> ids;
  std::vector<std::string> tokens;                     // vocabulary spelling, "ĠParis"
  std::vector<std::pair<uint32_t, uint32_t>> offsets;  // half-open, in characters of the text
};

}  // namespace ettin
