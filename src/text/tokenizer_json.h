// tokenizer.json as a plain, validated structure. Read are the files of this shape; anything else
// is refused as unsupported, naming the part:
//   normalizer      null or NFC
//   pre_tokenizer   ByteLevel with the split rule of GPT-2 and no added space
//   model           BPE over the byte-level alphabet; merges as "a b" or ["a", "b"]
//   post_processor  null, ByteLevel, TemplateProcessing, or a Sequence of the last two
//   decoder         ByteLevel
//   added_tokens    with every flag of Hugging Face's `tokenizers`
// "truncation" and "padding" are requests of whoever saved the file and are left aside, as
// transformers does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ettin/status.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/vocabulary.h"

namespace ettin {

struct TemplatePiece {
  enum class Kind : uint8_t { text, pair, special };
  Kind kind = Kind::text;
  int32_t id = -1;  // of a special token
};

struct TokenizerFile {
  Vocabulary vocabulary;  // with the added tokens
  MergeTable merges;
  bool ignore_merges = false;
  bool normalize_nfc = false;
  bool trim_offsets = false;  // offsets without the white space at either end of a token
  std::vector<AddedToken> added_tokens;
  std::vector<TemplatePiece> single_template;  // without a template: the texts alone
  std::vector<TemplatePiece> pair_template;
};

Result<TokenizerFile> read_tokenizer_json(const std::string& path);

}  // namespace ettin
