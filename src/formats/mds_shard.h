// One MDS shard, read in place. What it says about itself is hostile: the table of offsets is
// checked when it is opened, each sample when it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "ettin/status.h"
#include "formats/mds_index.h"

namespace ettin {

// Thread safety: const methods may run concurrently. Move-only.
class MdsShard {
 public:
  // The raw file is mapped where it exists; else the compressed one is decompressed into memory,
  // never to more bytes than the index says. `check_hashes`: those that the index states, of the
  // file that is read and of what comes out of it; bad_data when they differ.
  static Result<MdsShard> open(const std::string& folder, const MdsShardInfo& info,
                               bool check_hashes = false);

  uint64_t samples() const { return samples_; }
  const std::string& path() const { return path_; }  // of the file that was read
  uint64_t bytes_in_memory() const { return memory_.size(); }
  // What the shard says about itself, between the table and the first sample.
  std::string_view config_text() const;

  // The stored bytes of one column. Precondition: index < samples(), `column` is one of `columns`,
  // which are those of the info that the shard was opened with.
  Result<std::span<const std::byte>> column(uint64_t index, size_t column,
                                            std::span<const MdsColumn> columns) const;
  // All columns of a sample, decoded; arrays are views of the shard.
  Result<std::vector<MdsValue>> sample(uint64_t index, std::span<const MdsColumn> columns) const;

 private:
  Status check_table(const MdsShardInfo& info) const;
  std::span<const std::byte> bytes() const;
  uint64_t offset(uint64_t index) const;

  std::string path_;
  MappedFile file_;
  std::string memory_;  // of a compressed shard
  bool compressed_ = false;
  uint64_t samples_ = 0;
};

}  // namespace ettin
