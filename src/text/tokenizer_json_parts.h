// The parts of tokenizer.json around the model; see tokenizer_json.h. Each refuses what is not
// supported with a Status that names the file and the part.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "ettin/status.h"
#include "text/tokenizer_json.h"

namespace ettin {

inline constexpr int32_t kMaxTokens = 1 << 20;
inline constexpr size_t kMaxTokenBytes = 4096;
inline constexpr size_t kMaxTemplatePieces = 64;

// "PATH: what" with the remedy for a damaged file.
Status bad_tokenizer(std::string_view path, std::string_view what);
// "PATH: unsupported tokenizer: what".
Status unsupported_tokenizer(std::string_view path, std::string_view what);

// `path` names the file in messages.
Result<bool> read_normalizer(const Json& file, std::string_view path);  // true: NFC
Status read_pre_tokenizer(const Json& file, std::string_view path);
Status read_decoder(const Json& file, std::string_view path);
Result<std::vector<AddedToken>> read_added_tokens(const Json& file, std::string_view path);
// Fills trim_offsets and the templates; the vocabulary must be complete.
Status read_post_processor(const Json& file, std::string_view path, TokenizerFile* out);

// An id of the file: an integer from 0 to kMaxTokens - 1. `what` names it in the message.
Result<int32_t> read_token_id(const Json& value, std::string_view path, std::string_view what);

}  // namespace ettin
