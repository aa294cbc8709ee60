// A Hugging Face tokenizer.json as a byte-level BPE tokenizer. Equal, id for id and offset for
// offset, to the Rust library `tokenizers` for every file whose parts are listed in
// tokenizer_json.h; other files are refused. Characters that Unicode added lately are the
// exception: each library knows those of its own version (tests/tokenizer/differential.py lists
// them).
//
// Immutable after load; every const member may be called from many threads at once. Time is O(n log
// n) in the length of the text for any text, and in practice linear.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin {

// Half-open range of the text as it was given, before normalisation.
struct Offset {
  uint32_t begin = 0;
  uint32_t end = 0;

  friend bool operator==(const Offset&, const Offset&) = default;
};

struct Encoding {
  std::vector<int32_t> ids;
  // In bytes of the given text; {0, 0} for template tokens. Whole characters: tokens that are
  // pieces of one have its range. A mark that NFC composes with the character before it is in no
  // range.
  std::vector<Offset> byte_offsets;
  std::vector<Offset> char_offsets;  // in code points; both empty without with_offsets
  std::vector<uint8_t> special;      // 1 for tokens that the template put in
  std::vector<uint8_t> sequence;     // 0: text (and template tokens), 1: pair
  bool truncated = false;
  int64_t full_length = 0;  // number of tokens before truncation
};

struct EncodeOptions {
  bool add_special_tokens = true;  // apply the template: [CLS] ... [SEP]
  bool with_offsets = false;
  // Most tokens of the result, template tokens included; 0: no limit. Cuts on the right; of a pair,
  // the longer side first (Hugging Face's "longest_first"). The template itself is never cut: a
  // smaller limit than its length gives the template alone.
  int64_t max_length = 0;
};

enum class Template : uint8_t {
  serialized,  // as tokenizer.json's post-processor says: [CLS] text [SEP]
  bos_only,    // [CLS] text: what a decoder continues
  eos_only,    // text [SEP]
  none,        // the text alone
};

class Tokenizer {
 public:
  // `directory`/tokenizer.json, with tokenizer_config.json and special_tokens_map.json beside it
  // where they exist.
  static Result<std::shared_ptr<const Tokenizer>> load(const std::string& directory);
  // One tokenizer.json alone.
  static Result<std::shared_ptr<const Tokenizer>> load_file(const std::string& path);
  ~Tokenizer();

  // Invalid UTF-8 is read as U+FFFD, which counts as one character in offsets. Texts are smaller
  // than 1 GiB (checked).
  Encoding encode(std::string_view text, const EncodeOptions& options = {}) const;
  Encoding encode_pair(std::string_view text, std::string_view pair,
                       const EncodeOptions& options = {}) const;

  // Ids outside the vocabulary are skipped; bytes that form no UTF-8 become U+FFFD. `clean_up`
  // removes spaces before punctuation and in contractions; empty: what tokenizer_config.json says,
  // and true when it says nothing.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens,
                     std::optional<bool> clean_up = {}) const;
  // Vocabulary spelling, "ĠParis"; empty for an id outside the vocabulary.
  std::string_view token_string(int32_t id) const;
  // The bytes that a token stands for: " Paris"; may be a piece of a UTF-8 character.
  std::string decode_bytes(int32_t id) const;

  std::optional<int32_t> token_id(std::string_view token) const;  // vocabulary spelling
  bool is_special(int32_t id) const;                              // an added token marked special
  int64_t vocab_size() const;  // largest id + 1, added tokens included

  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  std::optional<int32_t> cls_id() const;
  std::optional<int32_t> sep_id() const;
  std::optional<int32_t> pad_id() const;
  std::optional<int32_t> mask_id() const;
  std::optional<int32_t> unk_id() const;
  // Of tokenizer_config.json, where they are stated.
  std::optional<int64_t> model_max_length() const;
  std::optional<bool> add_bos_token() const;
  std::optional<bool> add_eos_token() const;

  // The same tokenizer under another template; shares everything else.
  std::shared_ptr<const Tokenizer> with_template(Template which) const;

 private:
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace ettin
