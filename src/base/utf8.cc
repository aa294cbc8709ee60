#include "base/utf8.h"

namespace ettin {

Utf8Step decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char b0 = byte(at);
  if (b0 < 0x80) return {b0, 1, true};
  size_t need = 0;
  char32_t cp = 0;
  unsigned char low = 0x80, high = 0xbf;  // allowed range of the second byte
  if (b0 >= 0xc2 && b0 <= 0xdf) {
    need = 1;
    cp = b0 & 0x1fu;
  } else if (b0 >= 0xe0 && b0 <= 0xef) {
    need = 2;
    cp = b0 & 0x0fu;
    if (b0 == 0xe0) low = 0xa0;   // overlong
    if (b0 == 0xed) high = 0x9f;  // surrogates
  } else if (b0 >= 0xf0 && b0 <= 0xf4) {
    need = 3;
    cp = b0 & 0x07u;
    if (b0 == 0xf0) low = 0x90;   // overlong
    if (b0 == 0xf4) high = 0x8f;  // above U+10FFFF
  } else {
    return {0xfffd, 1, false};
  }
  for (size_t k = 1; k <= need; ++k) {
    if (at + k >= text.size() || byte(at + k) < low || byte(at + k) > high) {
      return {0xfffd, k, false};
    }
    cp = (cp << 6) | (byte(at + k) & 0x3fu);
    low = 0x80;
    high = 0xbf;
  }
  return {cp, need + 1, true};
}

bool is_valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = decode_utf8(text, i);
    if (!step.valid) return false;
    i += step.length;
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  std::string out;
  out.reserve(text.size() + 16);
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = decode_utf8(text, i);
    if (step.valid) {
      out.append(text.substr(i, step.length));
    } else {
      out.append("\xef\xbf\xbd");
    }
    i += step.length;
  }
  return out;
}

void append_utf8(char32_t cp, std::string* out) {
  const auto put = [out](unsigned v) { out->push_back(static_cast<char>(v)); };
  if (cp < 0x80) {
    put(cp);
  } else if (cp < 0x800) {
    put(0xc0 | (cp >> 6));
    put(0x80 | (cp & 0x3f));
  } else if (cp < 0x10000) {
    put(0xe0 | (cp >> 12));
    put(0x80 | ((cp >> 6) & 0x3f));
    put(0x80 | (cp & 0x3f));
  } else {
    put(0xf0 | (cp >> 18));
    put(0x80 | ((cp >> 12) & 0x3f));
    put(0x80 | ((cp >> 6) & 0x3f));
    put(0x80 | (cp & 0x3f));
  }
}

size_t complete_utf8_prefix(std::string_view text) {
  const size_t size = text.size();
  for (size_t back = 1; back <= 3 && back <= size; ++back) {
    const auto b = static_cast<unsigned char>(text[size - back]);
    if ((b & 0xc0) == 0x80) continue;       // continuation byte: look further left
    if (b < 0xc2 || b > 0xf4) return size;  // ASCII, or never the start of a character
    // Held back only if the text ends before the sequence does, with nothing wrong so far.
    const Utf8Step step = decode_utf8(text, size - back);
    return !step.valid && step.length == back ? size - back : size;
  }
  return size;
}

}  // namespace ettin
