// Writes a folder of MDS shards, byte for byte as mosaicml/streaming does.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ettin/status.h"
#include "formats/mds_index.h"

namespace ettin {

struct MdsWriterOptions {
  std::vector<std::pair<std::string, std::string>> columns;  // name, encoding; in any order
  std::optional<std::string> compression = {};               // "zstd", "zstd:N"
  std::vector<std::string> hashes = {};                      // see named_hash_hex
  std::optional<uint64_t> size_limit = uint64_t{1} << 26;    // of a raw shard; nothing: one shard
};

// A shard is in memory until it is full; each file is complete or absent. Not thread-safe.
class MdsWriter {
 public:
  // `folder` must exist. `finished`: shards that are there already, which new ones follow.
  static Result<MdsWriter> create(const std::string& folder, const MdsWriterOptions& options,
                                  std::vector<MdsShardInfo> finished = {});

  // Values in the order of the columns' names. The sample that no longer fits begins a new shard;
  // before that, the full one is written.
  Status add(std::span<const MdsValue> values);

  // Shards that are written so far; the samples that were added last may be in none of them yet.
  const std::vector<MdsShardInfo>& shards() const { return shards_; }

  // Writes the last shard, if it holds anything, and index.json.
  Status finish();

 private:
  MdsWriter(std::string folder, MdsShardInfo shape, std::vector<MdsShardInfo> finished);
  Status write_shard();

  std::string folder_;
  MdsShardInfo shape_;  // what all shards have in common
  std::string config_;
  std::vector<MdsShardInfo> shards_;
  std::string payload_;           // samples of the current shard, back to back
  std::vector<uint64_t> ends_;    // of each sample in payload_
  std::string sample_, content_;  // kept for their memory
};

}  // namespace ettin
