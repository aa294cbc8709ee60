// Training a byte-level BPE (Sennrich et al. 2016): the pair of neighbouring tokens that occurs
// most often becomes a token, again and again. Of equally frequent pairs the one with the smaller
// ids goes first, left id before right id, as in Hugging Face's BpeTrainer: for equal pre-tokens
// both give the same vocabulary and the same merges.
//
// Two pairs never spell the same token: a stretch of text that no token crosses is always merged
// alike. So every merge makes a new token, and all of its occurrences at once.
//
// Time: about the number of bytes of the distinct words, times a few; memory 8 bytes and more for
// each of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ettin/status.h"
#include "text/bpe.h"
#include "text/pretoken_counts.h"

namespace ettin {

inline constexpr int32_t kByteSymbols = 256;
// No longer token is made: it would help few texts, and tokenizer files have limits.
inline constexpr size_t kLongestTrainedToken = 1024;

struct BpeTrainOptions {
  int64_t entries = 0;        // wanted, the 256 byte symbols included
  int64_t min_frequency = 2;  // rarer pairs are not merged; at least 1
};

struct TrainedBpe {
  std::vector<std::string> tokens;  // bytes, by id: the byte symbols, then the merges' results
  std::vector<MergeRule> merges;    // by rank; merges[k].merged == kByteSymbols + k
  int64_t token_count = 0;          // tokens that the counted words become
};

// The byte of each symbol, by id: sorted by the character that spells the byte.
const std::array<uint8_t, kByteSymbols>& byte_symbol_order();

// Fewer entries than wanted when no pair is frequent enough. invalid_argument for options out of
// range and for no words at all; resource_limit for 4 GiB of distinct words.
Result<TrainedBpe> train_bpe(const WordCounts& words, const BpeTrainOptions& options);

}  // namespace ettin
