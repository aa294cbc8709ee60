// What tokenizer_config.json and special_tokens_map.json add to tokenizer.json: names of special
// tokens and a few settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ettin/status.h"

namespace ettin {

struct SpecialTokenNames {  // spelled as in the vocabulary
  std::optional<std::string> bos, eos, cls, sep, pad, mask, unk;
};

struct TokenizerConfig {
  SpecialTokenNames names;
  std::optional<int64_t> model_max_length;
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
  std::optional<bool> clean_up_tokenization_spaces;
};

// Of the files that `directory` has; tokenizer_config.json goes first where both name a token.
Result<TokenizerConfig> read_tokenizer_config(const std::string& directory);

}  // namespace ettin
