// Ids to text, one id at a time: every piece is valid UTF-8, and all pieces together are
// Tokenizer::decode(ids, skip_special_tokens, false). Not thread-safe: one per stream.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace ettin {

class StreamDecoder {
 public:
  // `tokenizer` must outlive this.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = true)
      : tokenizer_(tokenizer), skip_special_tokens_(skip_special_tokens) {}

  // The text that is certain with this id; empty while a character is incomplete.
  std::string push(int32_t id);
  // The end of the stream: an incomplete character becomes U+FFFD. Ready for another stream then.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_tokens_;
  std::string held_;  // an incomplete character: at most 3 bytes between calls
};

}  // namespace ettin
