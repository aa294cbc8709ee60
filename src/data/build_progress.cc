#include "data/build_progress.h"

#include <utility>

#include <fmt/format.h>

#include "base/file.h"

namespace ettin {
namespace {

TokenCounts& operator+=(TokenCounts& a, const TokenCounts& b) {
  a.documents += b.documents;
  a.too_short += b.too_short;
  a.chunks += b.chunks;
  a.tokens += b.tokens;
  return a;
}

Json set_to_json(const SetProgress& set) {
  Json shards = Json::array(), counts = Json::array();
  for (const MdsShardInfo& shard : set.shards) shards.push_back(mds_shard_to_json(shard));
  for (const TokenCounts& c : set.counts) {
    counts.push_back({c.documents, c.too_short, c.chunks, c.tokens});
  }
  return {
      {"document", set.document}, {"chunks", set.chunks}, {"counts", counts}, {"shards", shards}};
}

Result<SetProgress> set_from_json(const Json& json, size_t sources, const std::string& where) {
  const auto damaged = [&] {
    return Status(StatusCode::bad_data, fmt::format("{}: damaged", where),
                  "--force starts the build anew");
  };
  SetProgress set;
  ETTIN_ASSIGN_OR_RETURN(const int64_t document, json_get<int64_t>(json, "document", where));
  ETTIN_ASSIGN_OR_RETURN(const int64_t chunks, json_get<int64_t>(json, "chunks", where));
  set.document = static_cast<uint64_t>(document);
  set.chunks = static_cast<uint64_t>(chunks);
  const Json* counts = json_member(json, "counts");
  const Json* shards = json_member(json, "shards");
  if (counts == nullptr || !counts->is_array() || counts->size() != sources || shards == nullptr ||
      !shards->is_array()) {
    return damaged();
  }
  for (const Json& c : *counts) {
    if (!c.is_array() || c.size() != 4) return damaged();
    uint64_t values[4];
    for (size_t i = 0; i < 4; ++i) {
      if (!c[i].is_number_unsigned()) return damaged();
      values[i] = c[i].get<uint64_t>();
    }
    set.counts.push_back({values[0], values[1], values[2], values[3]});
  }
  for (const Json& entry : *shards) {
    ETTIN_ASSIGN_OR_RETURN(MdsShardInfo shard, mds_shard_from_json(entry, where));
    set.shards.push_back(std::move(shard));
  }
  return set;
}

}  // namespace

Status save_progress(const std::string& folder, const std::string& fingerprint,
                     const std::vector<SetProgress>& sets) {
  Json all = Json::array();
  for (const SetProgress& set : sets) all.push_back(set_to_json(set));
  return write_file_atomic(join_path(folder, kProgressFile),
                           dump_json({{"fingerprint", fingerprint}, {"sets", std::move(all)}}));
}

Result<std::vector<SetProgress>> load_progress(const std::string& folder,
                                               const std::string& fingerprint, size_t sets,
                                               size_t sources) {
  const std::string path = join_path(folder, kProgressFile);
  ETTIN_ASSIGN_OR_RETURN(const Json json, parse_json_file(path, {.max_bytes = size_t{256} << 20}));
  ETTIN_ASSIGN_OR_RETURN(const std::string found, json_get<std::string>(json, "fingerprint", path));
  const Json* all = json_member(json, "sets");
  if (found != fingerprint || all == nullptr || !all->is_array() || all->size() != sets) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{}: an unfinished build with other inputs or options", folder),
                  "give the same ones to go on, --force to start anew, or another folder");
  }
  std::vector<SetProgress> out;
  for (const Json& one : *all) {
    ETTIN_ASSIGN_OR_RETURN(SetProgress set, set_from_json(one, sources, path));
    out.push_back(std::move(set));
  }
  return out;
}

Json build_stats(const std::vector<SourceFile>& sources, const std::vector<TextCounts>& texts,
                 const std::vector<std::string>& set_names, const std::vector<SetProgress>& sets) {
  TextCounts all_texts;
  TokenCounts all_tokens;
  uint64_t all_bytes = 0;
  Json by_set = Json::object(), by_source = Json::array();
  for (size_t s = 0; s < sets.size(); ++s) {
    TokenCounts sum;
    for (const TokenCounts& c : sets[s].counts) sum += c;
    uint64_t bytes = 0;
    for (const MdsShardInfo& shard : sets[s].shards) {
      bytes += shard.zip ? shard.zip->bytes : shard.raw.bytes;
    }
    by_set[set_names[s]] = {
        {"documents", sum.documents}, {"too_short", sum.too_short},      {"chunks", sum.chunks},
        {"tokens", sum.tokens},       {"shards", sets[s].shards.size()}, {"bytes", bytes}};
    all_tokens += sum;
    all_bytes += bytes;
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    TokenCounts sum;
    for (const SetProgress& set : sets) sum += set.counts[i];
    by_source.push_back({{"file", sources[i].name},
                         {"documents", texts[i].documents},
                         {"duplicates", texts[i].duplicates},
                         {"too_short", sum.too_short},
                         {"chunks", sum.chunks},
                         {"tokens", sum.tokens},
                         {"text_bytes", texts[i].bytes}});
    all_texts.documents += texts[i].documents;
    all_texts.duplicates += texts[i].duplicates;
    all_texts.bytes += texts[i].bytes;
  }
  return {{"documents", all_texts.documents},
          {"duplicates", all_texts.duplicates},
          {"too_short", all_tokens.too_short},
          {"chunks", all_tokens.chunks},
          {"tokens", all_tokens.tokens},
          {"text_bytes", all_texts.bytes},
          {"bytes", all_bytes},
          {"sets", by_set},
          {"sources", by_source}};
}

}  // namespace ettin
