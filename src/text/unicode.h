// What the tokenizer asks of Unicode: the classes of its split rule and the facts that NFC needs,
// in one flat table made once per process from utf8proc. Immutable, so free for every thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ettin {

enum class CharClass : uint8_t { other, letter, number, space };  // else, \p{L}, \p{N}, \s

class UnicodeTable {
 public:
  UnicodeTable();

  CharClass char_class(char32_t c) const { return static_cast<CharClass>(facts_[c] & kClassBits); }
  bool is_space(char32_t c) const { return char_class(c) == CharClass::space; }
  bool is_word(char32_t c) const { return (facts_[c] & kWord) != 0; }  // \w

  // The character is its own NFC and cannot change one before it: a text may be cut in front of it.
  bool starts_nfc_segment(char32_t c) const { return (facts_[c] & kNfcStart) != 0; }
  // NFC_Quick_Check = Yes.
  bool is_nfc_alone(char32_t c) const { return (facts_[c] & kNfcAlone) != 0; }
  // The primary composite of two characters; 0 when there is none.
  char32_t compose(char32_t first, char32_t second) const;

 private:
  static constexpr uint8_t kClassBits = 3, kWord = 4, kNfcStart = 8, kNfcAlone = 16;

  struct Composite {
    uint64_t pair;  // first << 32 | second
    char32_t composed;
  };

  void add_composites(const std::vector<char32_t>& assigned);

  std::vector<uint8_t> facts_;         // one byte per code point
  std::vector<Composite> composites_;  // sorted by pair
};

const UnicodeTable& unicode_table();

// The canonical combining class.
uint8_t combining_class(char32_t c);

// Full canonical decomposition; returns its length.
inline constexpr size_t kMaxDecomposition = 4;
size_t decompose(char32_t c, char32_t (&out)[kMaxDecomposition]);

inline bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// Decodes the character at `*at` of valid UTF-8 and moves behind it.
inline char32_t next_code_point(std::string_view valid, size_t* at) {
  const auto byte = [&](size_t k) -> char32_t {
    return static_cast<unsigned char>(valid[*at + k]);
  };
  const char32_t b0 = byte(0);
  char32_t c = b0;
  size_t length = 1;
  if (b0 >= 0xf0) {
    c = ((b0 & 0x07) << 18) | ((byte(1) & 0x3f) << 12) | ((byte(2) & 0x3f) << 6) | (byte(3) & 0x3f);
    length = 4;
  } else if (b0 >= 0xe0) {
    c = ((b0 & 0x0f) << 12) | ((byte(1) & 0x3f) << 6) | (byte(2) & 0x3f);
    length = 3;
  } else if (b0 >= 0x80) {
    c = ((b0 & 0x1f) << 6) | (byte(1) & 0x3f);
    length = 2;
  }
  *at += length;
  return c;
}

// The first position >= `from` of a byte >= 0x80, or the size.
size_t skip_ascii(std::string_view text, size_t from);

}  // namespace ettin
