#include "train/checksums.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/json.h"

namespace ettin {
namespace {

constexpr std::string_view kFormat = "ettin checkpoint";
constexpr int64_t kVersion = 1;
constexpr JsonLimits kLimits{.max_bytes = size_t{1} << 20, .max_depth = 4};
constexpr size_t kMostFiles = 100;
constexpr std::array<std::string_view, 4> kRequired{"config.json", "model.safetensors",
                                                    "optimizer.safetensors", "training_state.json"};

std::string to_text(const Checksums& checksums) {
  Json files = Json::object();
  for (const auto& [name, sum] : checksums.files) {
    files[name] = {{"bytes", sum.bytes}, {"sha256", sum.sha256}};
  }
  const Json json = {{"format", kFormat},
                     {"version", kVersion},
                     {"step", checksums.step},
                     {"files", std::move(files)}};
  return dump_json(json, 2) + "\n";
}

// Large files do not stay in memory for it.
std::string sha256_of(const MappedFile& file) {
  constexpr size_t kPiece = size_t{8} << 20;
  Digest digest(Digest::Kind::sha256);
  for (std::span<const std::byte> rest = file.bytes(); !rest.empty();) {
    const auto piece = rest.first(std::min(kPiece, rest.size()));
    digest.add(piece);
    release_pages(piece);
    rest = rest.subspan(piece.size());
  }
  return digest.hex();
}

Status damaged(const std::string& path, std::string_view why) {
  return Status(StatusCode::bad_data, fmt::format("{}: damaged: {}", path, why),
                "copy the checkpoint again, or use an older one");
}

}  // namespace

Result<FileSum> sum_file(const std::string& path) {
  ETTIN_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  return FileSum{file.bytes().size(), sha256_of(file)};
}

Status write_checksums(const std::string& folder, const Checksums& checksums) {
  return write_file_atomic(join_path(folder, kChecksumsFile), to_text(checksums));
}

Result<Checksums> read_checksums(const std::string& folder) {
  const std::string path = join_path(folder, kChecksumsFile);
  if (!file_exists(path)) {
    return Status(StatusCode::not_found,
                  fmt::format("{}: no such file, so the checkpoint is not complete", path),
                  "use another checkpoint");
  }
  ETTIN_ASSIGN_OR_RETURN(const std::string text, read_file(path, kLimits.max_bytes));
  ETTIN_ASSIGN_OR_RETURN(const Json json, parse_json(text, path, kLimits));
  ETTIN_ASSIGN_OR_RETURN(const auto version, json_get<int64_t>(json, "version", path));
  if (version != kVersion) {
    return Status(
        StatusCode::unsupported,
        fmt::format("{}: version {} of the format; this build reads {}", path, version, kVersion),
        "use the version of ettin that wrote it");
  }
  Checksums checksums;
  ETTIN_ASSIGN_OR_RETURN(checksums.step, json_get<int64_t>(json, "step", path));
  const Json* files = json_member(json, "files");
  if (files == nullptr || !files->is_object() || files->size() > kMostFiles) {
    return damaged(path, fmt::format("\"files\" is not an object of at most {}", kMostFiles));
  }
  for (const auto& [name, entry] : files->items()) {
    const std::string where = fmt::format("{}: \"files\": \"{:.80}\"", path, name);
    ETTIN_ASSIGN_OR_RETURN(const auto bytes, json_get<int64_t>(entry, "bytes", where));
    ETTIN_ASSIGN_OR_RETURN(const auto sha256, json_get<std::string>(entry, "sha256", where));
    if (bytes < 0 || !is_plain_file_name(name)) return damaged(where, "no name or size of a file");
    checksums.files[name] = {static_cast<uint64_t>(bytes), sha256};
  }
  for (const std::string_view name : kRequired) {
    if (checksums.files.count(std::string(name)) == 0) {
      return damaged(path, fmt::format("it does not list {}", name));
    }
  }
  if (to_text(checksums) != text) return damaged(path, "it is not as it was written");
  return checksums;
}

Result<std::map<std::string, MappedFile>> open_checked(const std::string& folder,
                                                       const Checksums& checksums) {
  std::map<std::string, MappedFile> files;
  for (const auto& [name, sum] : checksums.files) {
    ETTIN_ASSIGN_OR_RETURN(const std::string path, resolve_beneath(folder, name));
    ETTIN_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
    if (file.bytes().size() != sum.bytes) {
      return damaged(path, fmt::format("{} bytes; {} says {}", file.bytes().size(), kChecksumsFile,
                                       sum.bytes));
    }
    files.emplace(name, std::move(file));
  }
  for (const auto& [name, file] : files) {
    const std::string sha256 = sha256_of(file), &expected = checksums.files.at(name).sha256;
    if (sha256 == expected) continue;
    return damaged(file.path(), fmt::format("its SHA-256 is {}; {} says {:.64}", sha256,
                                            kChecksumsFile, expected));
  }
  return files;
}

}  // namespace ettin
