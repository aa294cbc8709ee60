// The split rule of GPT-2, which every Ettin tokenizer uses, as a scanner:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// No regular expression is ever executed, so the time is linear for any text.
#pragma once

#include <cstddef>
#include <string_view>

#include "text/unicode.h"

namespace ettin {

inline constexpr std::string_view kGpt2Split =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// End of the word that begins at `begin` (< size) of valid UTF-8.
size_t word_end(const UnicodeTable& unicode, std::string_view valid, size_t begin);

}  // namespace ettin
