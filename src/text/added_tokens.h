// Finds added tokens in a text as Hugging Face's `tokenizers` does: leftmost, then longest, without
// overlap; then single_word, lstrip and rstrip decide about and widen what was found.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode.h"

namespace ettin {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // swallows the white space behind it
  bool normalized = false;   // sought in the normalised text
  bool special = false;      // skipped by decode(skip_special_tokens)
};

struct AddedMatch {
  int32_t id = 0;
  size_t begin = 0;
  size_t end = 0;
};

// Immutable. A search takes at most the length of the longest token per byte of text.
class AddedTokenMatcher {
 public:
  // Of tokens with equal content the first counts.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  // The matches of one text from left to right; both must outlive this.
  class Matches {
   public:
    Matches(const AddedTokenMatcher& matcher, std::string_view valid)
        : matcher_(matcher), text_(valid) {}
    std::optional<AddedMatch> next();

   private:
    size_t space_begin(size_t end) const;
    size_t space_end(size_t begin);
    bool is_single_word(size_t begin, size_t end) const;

    const AddedTokenMatcher& matcher_;
    std::string_view text_;
    size_t search_ = 0;     // where the next token may begin
    size_t covered_ = 0;    // end of the last match, widened
    size_t space_run_ = 0;  // end of the white space that the last rstrip looked at
  };

 private:
  // The longest token that begins at `at`, or nullptr.
  const AddedToken* longest_at(std::string_view text, size_t at) const;
  // The first position >= `from` where a token may begin, or the size.
  size_t candidate(std::string_view text, size_t from) const;

  std::vector<AddedToken> tokens_;  // sorted by content
  std::array<bool, 256> first_{};   // by first bytes of tokens
  std::bitset<65536> first_two_;    // and first two, any second one for a token of one byte
};

}  // namespace ettin
