// From one text to the ids of its words and added tokens; no template, no truncation.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"

namespace ettin {

// Ids of a text, and with offsets where each comes from.
struct TokenRun {
  std::vector<int32_t> ids;
  std::vector<Offset> byte_offsets;
  std::vector<Offset> char_offsets;
};

// Thread-safe: calls that overlap use different caches.
class TextEncoder {
 public:
  struct Rules {
    bool normalize_nfc = false;
    bool trim_offsets = false;  // offsets without the white space at either end of a token
  };

  // `vocabulary` must outlive this. `added_tokens` in the order of the file.
  TextEncoder(const Vocabulary& vocabulary, Bpe bpe, const std::vector<AddedToken>& added_tokens,
              Rules rules);

  TokenRun encode(std::string_view text, bool with_offsets) const;

 private:
  class Run;
  class CacheLease;

  const Vocabulary& vocabulary_;
  Bpe bpe_;
  Rules rules_;
  AddedTokenMatcher raw_matcher_;         // sought before normalisation
  AddedTokenMatcher normalized_matcher_;  // and after it

  // Caches that no call is using; at most as many as there were calls at a time.
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<WordCache>> idle_caches_;
};

}  // namespace ettin
