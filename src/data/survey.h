// What a data set holds, and whether it is whole. Both read one shard after the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ettin/status.h"
#include "formats/mds_index.h"

namespace ettin {

struct DatasetSurvey {
  std::vector<MdsColumn> columns;  // of the first shard
  int64_t shards = 0;
  int64_t sequences = 0;
  int64_t tokens = 0;
  uint64_t raw_bytes = 0;     // of the shards, decompressed
  uint64_t stored_bytes = 0;  // of the files that are named in the index
  int64_t shortest = 0, longest = 0;
  // Sequences of 1, 2..3, 4..7, ... tokens: place k counts lengths in [2^k, 2^(k+1)).
  std::vector<int64_t> lengths;
};

Result<DatasetSurvey> survey_dataset(const std::string& folder);

struct Damage {
  std::string file;
  std::string what;  // the message, without hint
};

struct Verification {
  int64_t shards = 0;  // that were whole
  int64_t sequences = 0;
  int64_t hashes = 0;  // that the index states and that were checked
  std::vector<Damage> damage;
};

// Every size, offset, hash, text that a shard holds about itself, and value. With vocab_size > 0
// also that every id is below it. An error only where index.json is absent; what is wrong
// otherwise is in the answer, at most one damage per shard.
Result<Verification> verify_dataset(const std::string& folder, int64_t vocab_size);

}  // namespace ettin
