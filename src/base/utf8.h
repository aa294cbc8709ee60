// UTF-8: validation and the replacement of invalid bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ettin {

// One decoded position of a byte string.
struct Utf8Step {
  char32_t code_point;  // U+FFFD when the bytes are invalid
  size_t length;        // bytes consumed, at least 1
  bool valid;
};

// Decodes at `at` (< text.size()). An invalid sequence consumes its maximal valid prefix, as the
// Unicode standard (section 3.9, "substitution of maximal subparts") and Python do.
Utf8Step decode_utf8(std::string_view text, size_t at);

bool is_valid_utf8(std::string_view text);

// Valid text unchanged; each maximal invalid sequence becomes one U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

void append_utf8(char32_t code_point, std::string* out);

// Length in bytes of the longest prefix that does not end inside a (so far valid) character; what
// follows it may become valid when more bytes arrive.
size_t complete_utf8_prefix(std::string_view text);

}  // namespace ettin
