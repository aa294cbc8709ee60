#include "text/stream_decoder.h"

#include <utility>

#include "base/utf8.h"

namespace ettin {

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_tokens_ && tokenizer_.is_special(id)) return {};
  held_ += tokenizer_.decode_bytes(id);
  const size_t complete = complete_utf8_prefix(held_);
  std::string out = replace_invalid_utf8(std::string_view(held_).substr(0, complete));
  held_.erase(0, complete);
  return out;
}

std::string StreamDecoder::finish() { return replace_invalid_utf8(std::exchange(held_, {})); }

}  // namespace ettin
