// index.json of a folder of MDS shards (training.md 2.3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "ettin/status.h"
#include "formats/mds_encoding.h"

namespace ettin {

struct MdsColumn {
  std::string name;
  std::string encoding_name;
  MdsEncoding encoding;
};

// A shard's file, raw or compressed.
struct MdsFile {
  std::string basename;  // may lie in folders: "a/part-0/shard.00000.mds"
  uint64_t bytes = 0;
  std::vector<std::pair<std::string, std::string>> hashes;  // name, hexadecimal digits
};

struct MdsShardInfo {
  std::vector<MdsColumn> columns;          // by name
  std::optional<std::string> compression;  // "zstd", "zstd:7"
  std::vector<std::string> hashes;         // names, sorted
  std::optional<uint64_t> size_limit;      // bytes; nothing: one shard
  uint64_t samples = 0;
  MdsFile raw;
  std::optional<MdsFile> zip;

  // Where column `name` is; nothing when there is none.
  std::optional<size_t> find_column(std::string_view name) const;
};

// What the folder holds, in the order of the index. Every name, encoding and number is checked; no
// shard is opened. Names of files are plain (see is_plain_file_name) in every folder they lie in.
Result<std::vector<MdsShardInfo>> read_mds_index(const std::string& folder);
Result<std::vector<MdsShardInfo>> parse_mds_index(std::string_view text, std::string_view where);

std::string mds_index_text(const std::vector<MdsShardInfo>& shards);
// The text that a shard holds about itself.
std::string mds_config_text(const MdsShardInfo& shard);
// One entry of index.json, and back.
Json mds_shard_to_json(const MdsShardInfo& shard);
Result<MdsShardInfo> mds_shard_from_json(const Json& entry, std::string_view where);

// The zstd level of "zstd" or "zstd:N"; unsupported for another compression.
Result<int> mds_zstd_level(std::string_view compression);

// Sorted columns from names and encodings. Errors: a name twice, an encoding that is refused.
Result<std::vector<MdsColumn>> make_mds_columns(
    const std::vector<std::pair<std::string, std::string>>& names_and_encodings);

// The index of `folder` made of its sub-folders' own: their names before every basename.
Result<std::vector<MdsShardInfo>> merge_mds_indexes(const std::string& folder,
                                                    const std::vector<std::string>& sub_folders);

}  // namespace ettin
