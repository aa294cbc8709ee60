#include "text/pretokenize.h"

namespace ettin {
namespace {

// Length of 's 't 're 've 'm 'll 'd at the apostrophe at `at`; 0 when it is none of them.
size_t contraction(std::string_view text, size_t at) {
  const size_t left = text.size() - at;
  if (left < 2) return 0;
  const char a = text[at + 1];
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (left < 3) return 0;
  const char b = text[at + 2];
  return (b == 'e' && (a == 'r' || a == 'v')) || (a == 'l' && b == 'l') ? 3 : 0;
}

// End of the run of class `cls` that goes on at `at`.
size_t run_end(const UnicodeTable& unicode, std::string_view text, size_t at, CharClass cls) {
  while (at < text.size()) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      if (unicode.char_class(byte) != cls) break;
      ++at;
    } else {
      size_t next = at;
      if (unicode.char_class(next_code_point(text, &next)) != cls) break;
      at = next;
    }
  }
  return at;
}

}  // namespace

size_t word_end(const UnicodeTable& unicode, std::string_view valid, size_t begin) {
  if (valid[begin] == '\'') {
    if (const size_t length = contraction(valid, begin); length > 0) return begin + length;
  }
  size_t at = begin;
  const CharClass first = unicode.char_class(next_code_point(valid, &at));
  if (first != CharClass::space) return run_end(unicode, valid, at, first);
  if (at == valid.size()) return at;
  size_t next = at;
  const CharClass second = unicode.char_class(next_code_point(valid, &next));
  if (second != CharClass::space) {
    // One white space before a word: a space joins it, any other stands alone.
    return valid[begin] == ' ' ? run_end(unicode, valid, next, second) : at;
  }
  const size_t end = run_end(unicode, valid, next, CharClass::space);
  if (end == valid.size()) return end;
  // \s+(?!\S) gives back the last white space before a word.
  size_t last = end - 1;
  while (is_continuation(valid[last])) --last;
  return last;
}

}  // namespace ettin
