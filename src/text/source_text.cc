#include "text/source_text.h"

#include <algorithm>

#include "base/check.h"
#include "base/utf8.h"
#include "text/unicode.h"

namespace ettin {
namespace {

// Position of the first byte that is not part of valid UTF-8, or the size.
size_t first_invalid(std::string_view text, size_t from) {
  for (size_t i = skip_ascii(text, from); i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      i = skip_ascii(text, i);
      continue;
    }
    const Utf8Step step = decode_utf8(text, i);
    if (!step.valid) return i;
    i += step.length;
  }
  return text.size();
}

uint32_t count_characters(std::string_view text) {
  return static_cast<uint32_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

}  // namespace

SourceText::SourceText(std::string_view given) : valid_(given) {
  ETTIN_CHECK(given.size() < size_t{1} << 30);  // every byte may become the three of U+FFFD
  size_t bad = first_invalid(given, 0);
  if (bad < given.size()) {
    size_t copied = 0;
    while (bad < given.size()) {
      repaired_ += given.substr(copied, bad - copied);
      append_utf8(0xfffd, &repaired_);
      copied = bad + decode_utf8(given, bad).length;
      repairs_.push_back({static_cast<uint32_t>(repaired_.size()), static_cast<uint32_t>(copied)});
      bad = first_invalid(given, copied);
    }
    repaired_ += given.substr(copied);
    valid_ = repaired_;
  }
  if (skip_ascii(valid_, 0) == valid_.size()) return;
  uint32_t characters = 0;
  for (size_t begin = 0; begin < valid_.size(); begin += kBlock) {
    block_characters_.push_back(characters);
    characters += count_characters(valid_.substr(begin, kBlock));
  }
}

uint32_t SourceText::given_byte(uint32_t at) const {
  // The last repair that ends at or before `at`; what follows it is shifted as a whole.
  const auto behind = std::upper_bound(
      repairs_.begin(), repairs_.end(), at,
      [](uint32_t place, const Repair& repair) { return place < repair.valid_end; });
  if (behind == repairs_.begin()) return at;
  const Repair& repair = *std::prev(behind);
  return repair.given_end + (at - repair.valid_end);
}

Offset SourceText::given_bytes(Offset range) const {
  if (repairs_.empty()) return range;
  return {given_byte(range.begin), given_byte(range.end)};
}

uint32_t SourceText::character(uint32_t at) {
  if (block_characters_.empty()) return at;
  if (at < last_byte_ || at - last_byte_ > kBlock) {
    const auto blocks = static_cast<uint32_t>(block_characters_.size());
    const uint32_t block = std::min(at / kBlock, blocks - 1);
    last_byte_ = block * kBlock;
    last_character_ = block_characters_[block];
  }
  last_character_ += count_characters(valid_.substr(last_byte_, at - last_byte_));
  last_byte_ = at;
  return last_character_;
}

Offset SourceText::characters(Offset range) {
  const uint32_t begin = character(range.begin);
  return {begin, character(range.end)};
}

}  // namespace ettin
