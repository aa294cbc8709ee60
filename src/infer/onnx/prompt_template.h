// How a decoder's prompt begins and ends, in an exported tokenizer.json.
#pragma once

#include <string>

#include "ettin/status.h"

namespace ettin {

// The family's decoders share the encoders' tokenizer.json, whose template closes a text with
// [SEP]. Training ended documents with it, so a prompt must not have it. Python's tokenizer class
// and ettin leave it out because tokenizer_config.json says so; transformers.js knows the template
// alone. Drops special tokens behind the text from the templates of `directory`/tokenizer.json,
// unless tokenizer_config.json says "add_eos_token": true. Ok where there is no such file.
Status open_prompt_template(const std::string& directory);

}  // namespace ettin
