#include "data/survey.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "data/token_column.h"
#include "formats/mds_shard.h"

namespace ettin {
namespace {

Status verify_shard(const std::string& folder, const MdsShardInfo& info, int64_t vocab_size) {
  ETTIN_ASSIGN_OR_RETURN(const MdsShard shard, MdsShard::open(folder, info, true));
  if (shard.config_text() != mds_config_text(info)) {
    return Status(
        StatusCode::bad_data,
        fmt::format("{}: what it says about itself is not what index.json says", shard.path()));
  }
  std::optional<size_t> ids;
  if (vocab_size > 0) {
    ETTIN_ASSIGN_OR_RETURN(ids, find_token_column(info, folder));
  }
  for (uint64_t i = 0; i < info.samples; ++i) {
    ETTIN_RETURN_IF_ERROR(shard.sample(i, info.columns).status());
    if (ids) ETTIN_RETURN_IF_ERROR(read_token_ids(shard, info, *ids, i, vocab_size).status());
  }
  return {};
}

}  // namespace

Result<DatasetSurvey> survey_dataset(const std::string& folder) {
  ETTIN_ASSIGN_OR_RETURN(const std::vector<MdsShardInfo> index, read_mds_index(folder));
  DatasetSurvey survey;
  if (!index.empty()) survey.columns = index[0].columns;
  for (const MdsShardInfo& info : index) {
    ETTIN_ASSIGN_OR_RETURN(const size_t column, find_token_column(info, folder));
    ETTIN_ASSIGN_OR_RETURN(const MdsShard shard, MdsShard::open(folder, info));
    ++survey.shards;
    survey.raw_bytes += info.raw.bytes;
    survey.stored_bytes += info.zip ? info.zip->bytes : info.raw.bytes;
    for (uint64_t i = 0; i < info.samples; ++i) {
      ETTIN_ASSIGN_OR_RETURN(const auto stored, shard.column(i, column, info.columns));
      const Result<MdsArray> array = decode_mds_array(info.columns[column].encoding, stored);
      if (!array.ok()) {
        return array.status().with_context(fmt::format("{} sample {}", shard.path(), i));
      }
      const auto length = static_cast<int64_t>(array->elements());  // at least 1
      const auto place = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(length)) - 1);
      if (survey.lengths.size() <= place) survey.lengths.resize(place + 1);
      ++survey.lengths[place];
      survey.shortest = survey.sequences == 0 ? length : std::min(survey.shortest, length);
      survey.longest = std::max(survey.longest, length);
      survey.tokens += length;
      ++survey.sequences;
    }
  }
  return survey;
}

Result<Verification> verify_dataset(const std::string& folder, int64_t vocab_size) {
  Verification out;
  const Result<std::vector<MdsShardInfo>> index = read_mds_index(folder);
  if (!index.ok()) {
    if (index.status().code() == StatusCode::not_found) return index.status();
    out.damage.push_back({join_path(folder, "index.json"), index.status().message()});
    return out;
  }
  for (const MdsShardInfo& info : *index) {
    const Status status = verify_shard(folder, info, vocab_size);
    if (!status.ok()) {
      const bool raw = !info.zip || file_exists(join_path(folder, info.raw.basename));
      out.damage.push_back(
          {join_path(folder, raw ? info.raw.basename : info.zip->basename), status.message()});
      continue;
    }
    ++out.shards;
    out.sequences += static_cast<int64_t>(info.samples);
    out.hashes += static_cast<int64_t>(info.raw.hashes.size());
  }
  return out;
}

}  // namespace ettin
