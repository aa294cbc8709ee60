// The columns of a shard that training reads: "input_ids", an array of integers of one dimension,
// and "id", a text that says where a sample comes from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"
#include "formats/mds_shard.h"

namespace ettin {

// Where the ids are; bad_data, naming `where`, when no such column exists.
Result<size_t> find_token_column(const MdsShardInfo& info, std::string_view where);

// The ids of one sample; bad_data when one is negative or `vocab_size` or more, naming shard and
// sample. Precondition: sample < shard.samples().
Result<std::vector<int32_t>> read_token_ids(const MdsShard& shard, const MdsShardInfo& info,
                                            size_t column, uint64_t sample, int64_t vocab_size);

// Empty when the shard has no such column or it cannot be read.
std::string read_sample_id(const MdsShard& shard, const MdsShardInfo& info, uint64_t sample);

}  // namespace ettin
