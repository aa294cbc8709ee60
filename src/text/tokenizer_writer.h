// A trained BPE as the files of a Hugging Face tokenizer with the anatomy of ModernBERT's: NFC,
// GPT-2's split, byte-level BPE, [CLS] text [SEP]. Ids are the trained entries, then one for each
// run of 24 to 2 spaces, then [UNK] [CLS] [SEP] [PAD] [MASK]; only [MASK] takes the white space
// before it.
#pragma once

#include <cstdint>
#include <string>

#include "ettin/status.h"
#include "text/train_bpe.h"

namespace ettin {

struct TokenizerLayout {
  bool space_runs = true;  // as PretokenCounts was told
  int64_t model_max_length = 8192;
};

// The BPE entries of a tokenizer that has `vocab_size` entries in all; invalid_argument when
// nothing would be left for merges, or when it is more than a tokenizer file may have.
Result<int64_t> bpe_entries(int64_t vocab_size, const TokenizerLayout& layout);

// All entries: those of the BPE and the added tokens.
int64_t tokenizer_entries(const TrainedBpe& bpe, const TokenizerLayout& layout);

// Writes tokenizer_config.json, special_tokens_map.json and tokenizer.json into `directory`, which
// is made where it is missing. Each file is complete or absent; tokenizer.json goes last.
Status write_tokenizer(const std::string& directory, const TrainedBpe& bpe,
                       const TokenizerLayout& layout);

}  // namespace ettin
