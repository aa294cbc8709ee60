// Normalization Form C with the origin of every byte. Time is O(n log n) for any text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace ettin {

// The quick check of UAX #15: true only if `valid` (valid UTF-8) is in NFC. It may be false for a
// text that to_nfc would leave alone.
bool is_nfc(std::string_view valid);

// *out = NFC of `valid`. *origins, unless null: for every byte of *out the character of `valid`
// that it stands for. A composite stands for its first character alone and reordered marks take the
// places in turn, as in Hugging Face's `tokenizers`.
void to_nfc(std::string_view valid, std::string* out, std::vector<Offset>* origins);

}  // namespace ettin
