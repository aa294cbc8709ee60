// A text as it was given, made valid UTF-8, with the way back from places in it to bytes and
// characters of what was given.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace ettin {

class SourceText {
 public:
  // `given` must outlive this. Less than 1 GiB: offsets have 32 bits.
  explicit SourceText(std::string_view given);
  SourceText(const SourceText&) = delete;
  SourceText& operator=(const SourceText&) = delete;

  // `given` itself when that is valid; else each maximal invalid sequence is one U+FFFD.
  std::string_view valid() const { return valid_; }

  // Of a range of valid() that begins and ends between characters.
  Offset given_bytes(Offset range) const;
  Offset characters(Offset range);

 private:
  static constexpr uint32_t kBlock = 128;

  struct Repair {
    uint32_t valid_end;  // behind the U+FFFD in valid()
    uint32_t given_end;  // behind the invalid sequence in the given text
  };

  uint32_t given_byte(uint32_t at) const;
  uint32_t character(uint32_t at);

  std::string_view valid_;
  std::string repaired_;
  std::vector<Repair> repairs_;
  std::vector<uint32_t> block_characters_;  // before each block of valid(); empty for ASCII
  uint32_t last_byte_ = 0;                  // the last place that was asked for,
  uint32_t last_character_ = 0;             // from which the next is usually near
};

}  // namespace ettin
