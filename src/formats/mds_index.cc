#include "formats/mds_index.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/file.h"

namespace ettin {
namespace {

constexpr int64_t kVersion = 2;
// 6.8 TB of shards, the whole of the Ettin data, have an index of 70 MB.
constexpr size_t kMaxIndexBytes = size_t{256} << 20;
constexpr size_t kMaxColumns = 256;
constexpr uint64_t kMaxShardBytes = uint64_t{1} << 32;  // offsets have 32 bits

// Reads the members of one entry; every message names the shard and the key.
class EntryReader {
 public:
  EntryReader(const Json& entry, std::string_view where) : entry_(entry), where_(where) {}

  Result<MdsShardInfo> read() {
    if (!entry_.is_object()) return bad("an entry of \"shards\" is not an object");
    ETTIN_ASSIGN_OR_RETURN(const std::string format,
                           json_get<std::string>(entry_, "format", where_));
    if (format != "mds") {
      return Status(StatusCode::unsupported,
                    fmt::format("{}: format \"{:.40}\" where \"mds\" is read", where_, format));
    }
    ETTIN_ASSIGN_OR_RETURN(const int64_t version, json_get<int64_t>(entry_, "version", where_));
    if (version != kVersion) {
      return Status(StatusCode::unsupported,
                    fmt::format("{}: version {} of MDS; version 2 is read", where_, version));
    }
    ETTIN_RETURN_IF_ERROR(read_columns());
    ETTIN_ASSIGN_OR_RETURN(shard_.compression,
                           json_find<std::string>(entry_, "compression", where_));
    if (shard_.compression) {
      const Result<int> level = mds_zstd_level(*shard_.compression);
      if (!level.ok()) return level.status().with_context(where_);
    }
    ETTIN_ASSIGN_OR_RETURN(shard_.hashes, strings("hashes"));
    ETTIN_ASSIGN_OR_RETURN(shard_.samples, count(entry_, "samples"));
    if (const Json* limit = json_member(entry_, "size_limit"); limit && !limit->is_null()) {
      ETTIN_ASSIGN_OR_RETURN(shard_.size_limit, count(entry_, "size_limit"));
    }
    ETTIN_ASSIGN_OR_RETURN(shard_.raw, file("raw_data"));
    if (const Json* zip = json_member(entry_, "zip_data"); zip && !zip->is_null()) {
      ETTIN_ASSIGN_OR_RETURN(shard_.zip, file("zip_data"));
    }
    if (shard_.zip.has_value() != shard_.compression.has_value()) {
      return bad("\"compression\" and \"zip_data\" contradict each other");
    }
    return std::move(shard_);
  }

 private:
  Status bad(std::string_view why) const {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", where_, why));
  }

  Result<uint64_t> count(const Json& object, std::string_view key) const {
    ETTIN_ASSIGN_OR_RETURN(const int64_t value, json_get<int64_t>(object, key, where_));
    if (value < 0 || static_cast<uint64_t>(value) > kMaxShardBytes) {
      return bad(fmt::format("\"{}\" is {}; at most 2^32 is possible", key, value));
    }
    return static_cast<uint64_t>(value);
  }

  Result<std::vector<std::string>> strings(std::string_view key) const {
    const Json* array = json_member(entry_, key);
    if (array == nullptr || !array->is_array() || array->size() > kMaxColumns) {
      return bad(fmt::format("\"{}\" should be an array of at most {} texts", key, kMaxColumns));
    }
    std::vector<std::string> out;
    for (const Json& item : *array) {
      if (!item.is_string()) return bad(fmt::format("\"{}\" holds what is no text", key));
      out.push_back(item.get<std::string>());
    }
    return out;
  }

  Status read_columns() {
    ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> names, strings("column_names"));
    ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> encodings, strings("column_encodings"));
    const Json* sizes = json_member(entry_, "column_sizes");
    if (sizes == nullptr || !sizes->is_array() || names.size() != encodings.size() ||
        names.size() != sizes->size() || names.empty()) {
      return bad("\"column_names\", \"column_encodings\" and \"column_sizes\" differ in length");
    }
    for (size_t i = 0; i < names.size(); ++i) {
      if (i > 0 && names[i] == names[i - 1]) {
        return bad(fmt::format("column \"{:.60}\" occurs twice", names[i]));
      }
      if (i > 0 && names[i] < names[i - 1]) {
        return bad(
            fmt::format("column \"{:.60}\" is not in its place: names are sorted", names[i]));
      }
      const Result<MdsEncoding> encoding = parse_mds_encoding(encodings[i]);
      if (!encoding.ok()) {
        return encoding.status().with_context(
            fmt::format("{}: column \"{:.60}\"", where_, names[i]));
      }
      const auto fixed = encoding->fixed_bytes();
      const Json& size = (*sizes)[i];
      if (fixed ? !size.is_number_unsigned() || size.get<uint64_t>() != *fixed : !size.is_null()) {
        return bad(fmt::format("column \"{:.60}\": its size does not fit its encoding \"{:.60}\"",
                               names[i], encodings[i]));
      }
      shard_.columns.push_back({names[i], encodings[i], *encoding});
    }
    return {};
  }

  Result<MdsFile> file(std::string_view key) const {
    const Json* object = json_member(entry_, key);
    if (object == nullptr || !object->is_object()) {
      return bad(fmt::format("\"{}\" should be an object", key));
    }
    MdsFile out;
    ETTIN_ASSIGN_OR_RETURN(out.basename, json_get<std::string>(*object, "basename", where_));
    std::string_view rest = out.basename;
    for (bool last = false; !last;) {
      const size_t slash = std::min(rest.find('/'), rest.size());
      last = slash == rest.size();
      if (!is_plain_file_name(rest.substr(0, slash))) {
        return Status(StatusCode::bad_data,
                      fmt::format("{}: refused file name \"{:.120}\"", where_, out.basename),
                      "only plain names of letters, digits, '.', '_' and '-', in folders below "
                      "the index, are followed");
      }
      rest.remove_prefix(std::min(slash + 1, rest.size()));
    }
    ETTIN_ASSIGN_OR_RETURN(out.bytes, count(*object, "bytes"));
    const Json* hashes = json_member(*object, "hashes");
    if (hashes == nullptr || !hashes->is_object()) {
      return bad(fmt::format("\"hashes\" of \"{}\" should be an object", key));
    }
    for (const auto& [name, digits] : hashes->items()) {
      if (!digits.is_string()) return bad(fmt::format("hash \"{:.40}\" is no text", name));
      out.hashes.emplace_back(name, digits.get<std::string>());
    }
    return out;
  }

  const Json& entry_;
  std::string_view where_;
  MdsShardInfo shard_;
};

Json file_to_json(const MdsFile& file) {
  Json hashes = Json::object();
  for (const auto& [name, digits] : file.hashes) hashes[name] = digits;
  return {{"basename", file.basename}, {"bytes", file.bytes}, {"hashes", hashes}};
}

Json nullable(const std::optional<uint64_t>& value) { return value ? Json(*value) : Json(nullptr); }

// The members of `shard` by name; without the files and the number of samples unless `whole`.
Json to_json(const MdsShardInfo& shard, bool whole) {
  Json encodings = Json::array(), names = Json::array(), sizes = Json::array();
  for (const MdsColumn& column : shard.columns) {
    encodings.push_back(column.encoding_name);
    names.push_back(column.name);
    sizes.push_back(nullable(column.encoding.fixed_bytes()));
  }
  Json out = {{"column_encodings", encodings},
              {"column_names", names},
              {"column_sizes", sizes},
              {"compression", shard.compression ? Json(*shard.compression) : Json(nullptr)},
              {"format", "mds"},
              {"hashes", shard.hashes}};
  if (whole) {
    out["raw_data"] = file_to_json(shard.raw);
    out["samples"] = shard.samples;
  }
  out["size_limit"] = nullable(shard.size_limit);
  out["version"] = kVersion;
  if (whole) out["zip_data"] = shard.zip ? file_to_json(*shard.zip) : Json(nullptr);
  return out;
}

}  // namespace

std::optional<size_t> MdsShardInfo::find_column(std::string_view name) const {
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == name) return i;
  }
  return std::nullopt;
}

Result<MdsShardInfo> mds_shard_from_json(const Json& entry, std::string_view where) {
  return EntryReader(entry, where).read();
}

Json mds_shard_to_json(const MdsShardInfo& shard) { return to_json(shard, true); }

Result<std::vector<MdsShardInfo>> parse_mds_index(std::string_view text, std::string_view where) {
  ETTIN_ASSIGN_OR_RETURN(const Json index, parse_json(text, where, {.max_bytes = kMaxIndexBytes}));
  ETTIN_ASSIGN_OR_RETURN(const int64_t version, json_get<int64_t>(index, "version", where));
  if (version != kVersion) {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: version {} of MDS; version 2 is read", where, version));
  }
  const Json* entries = json_member(index, "shards");
  if (entries == nullptr || !entries->is_array()) {
    return Status(StatusCode::bad_data, fmt::format("{}: \"shards\" should be an array", where));
  }
  std::vector<MdsShardInfo> shards;
  for (const Json& entry : *entries) {
    ETTIN_ASSIGN_OR_RETURN(
        MdsShardInfo shard,
        mds_shard_from_json(entry, fmt::format("{}: shard {}", where, shards.size())));
    shards.push_back(std::move(shard));
  }
  return shards;
}

Result<std::vector<MdsShardInfo>> read_mds_index(const std::string& folder) {
  const std::string path = join_path(folder, "index.json");
  if (!file_exists(path)) {
    return Status(StatusCode::not_found, fmt::format("{}: there is no such file", path),
                  "a data set is a folder with index.json and shards, as ettin data build makes");
  }
  ETTIN_ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxIndexBytes));
  return parse_mds_index(text, path);
}

std::string mds_index_text(const std::vector<MdsShardInfo>& shards) {
  Json entries = Json::array();
  for (const MdsShardInfo& shard : shards) entries.push_back(mds_shard_to_json(shard));
  return python_json({{"shards", std::move(entries)}, {"version", kVersion}});
}

std::string mds_config_text(const MdsShardInfo& shard) {
  return python_json(to_json(shard, false));
}

Result<int> mds_zstd_level(std::string_view compression) {
  constexpr int kDefault = 3, kMost = 19;
  if (compression == "zstd") return kDefault;
  constexpr std::string_view kPrefix = "zstd:";
  int level = 0;
  if (compression.starts_with(kPrefix)) {
    const std::string_view digits = compression.substr(kPrefix.size());
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), level);
    if (error == std::errc() && end == digits.data() + digits.size() && level >= 1 &&
        level <= kMost) {
      return level;
    }
  }
  return Status(StatusCode::unsupported,
                fmt::format("compression \"{:.40}\" is not known", compression),
                "zstd and zstd:1 to zstd:19 are");
}

Result<std::vector<MdsColumn>> make_mds_columns(
    const std::vector<std::pair<std::string, std::string>>& names_and_encodings) {
  std::vector<MdsColumn> columns;
  for (const auto& [name, encoding_name] : names_and_encodings) {
    ETTIN_ASSIGN_OR_RETURN(const MdsEncoding encoding, parse_mds_encoding(encoding_name));
    columns.push_back({name, encoding_name, encoding});
  }
  std::sort(columns.begin(), columns.end(),
            [](const MdsColumn& a, const MdsColumn& b) { return a.name < b.name; });
  const auto twice =
      std::adjacent_find(columns.begin(), columns.end(),
                         [](const MdsColumn& a, const MdsColumn& b) { return a.name == b.name; });
  if (twice == columns.end() && !columns.empty()) return columns;
  return Status(StatusCode::invalid_argument,
                columns.empty() ? std::string("a shard needs columns")
                                : fmt::format("column \"{:.60}\" occurs twice", twice->name));
}

Result<std::vector<MdsShardInfo>> merge_mds_indexes(const std::string& folder,
                                                    const std::vector<std::string>& sub_folders) {
  std::vector<MdsShardInfo> merged;
  for (const std::string& name : sub_folders) {
    ETTIN_ASSIGN_OR_RETURN(std::vector<MdsShardInfo> shards,
                           read_mds_index(join_path(folder, name)));
    for (MdsShardInfo& shard : shards) {
      shard.raw.basename = join_path(name, shard.raw.basename);
      if (shard.zip) shard.zip->basename = join_path(name, shard.zip->basename);
      merged.push_back(std::move(shard));
    }
  }
  return merged;
}

}  // namespace ettin
