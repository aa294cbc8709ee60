// SHA-256 values as text.
#pragma once

#include <algorithm>
#include <string_view>

namespace ettin {

// 64 lower-case hexadecimal digits.
inline bool is_sha256_hex(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace ettin
