#include "hub/pull.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "hub/client.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;

bool blob_is_there(const CachedRepository& cache, const RemoteFile& file) {
  std::error_code error;
  const uint64_t bytes = fs::file_size(cache.blob(file.etag), error);
  return !error && bytes == file.bytes;
}

Result<FileLock> lock_blob(const CachedRepository& cache, const RemoteFile& file,
                           const PullOptions& options) {
  for (bool told = false;; told = true) {
    ETTIN_ASSIGN_OR_RETURN(std::optional<FileLock> lock,
                           FileLock::try_lock(cache.lock_file(file.etag)));
    if (lock) return *std::move(lock);
    if (!told && options.notice) {
      options.notice(fmt::format("waiting for another process that fetches {}", file.path));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

Status check_space(const CachedRepository& cache, std::span<const RemoteFile> files) {
  uint64_t needed = 0;
  std::error_code error;
  for (const RemoteFile& file : files) {
    const uint64_t there = fs::file_size(cache.blob(file.etag) + ".incomplete", error);
    needed += file.bytes - (error ? 0 : std::min(there, file.bytes));
  }
  const fs::space_info space = fs::space(cache.folder(), error);
  if (error || space.available >= needed) return {};
  return Status(StatusCode::io_error,
                fmt::format("{}: {} MB are free and {} MB are needed", cache.folder(),
                            space.available >> 20, (needed >> 20) + 1),
                "free some space, or set HF_HOME to a folder on a larger disk");
}

// Brings some blobs; `done` is what came before them.
Status fetch_group(const ModelName& name, const HubClient& client, const CachedRepository& cache,
                   std::vector<RemoteFile> files, const PullOptions& options,
                   PullProgress* progress, PulledModel* pulled) {
  std::vector<FileLock> locks;
  for (const RemoteFile& file : files) {
    ETTIN_ASSIGN_OR_RETURN(FileLock lock, lock_blob(cache, file, options));
    locks.push_back(std::move(lock));
  }
  // Another process may have brought some of them meanwhile.
  uint64_t done = progress->bytes;
  std::erase_if(files, [&](const RemoteFile& file) {
    if (!blob_is_there(cache, file)) return false;
    done += file.bytes;
    return true;
  });
  ETTIN_RETURN_IF_ERROR(check_space(cache, files));
  ETTIN_RETURN_IF_ERROR(client.fetch(name, pulled->commit, files, cache, [&](uint64_t bytes) {
    progress->bytes = done + bytes;
    if (options.progress) options.progress(*progress);
  }));
  for (const RemoteFile& file : files) {
    ETTIN_RETURN_IF_ERROR(accept_blob(cache, file).with_context(name.repository));
    done += file.bytes;
    pulled->fetched_bytes += file.bytes;
  }
  pulled->fetched_files += files.size();
  progress->bytes = done;
  return {};
}

// Brings the blobs that are missing; blobs of equal contents are one.
Status fetch_blobs(const ModelName& name, const HubClient& client, const CachedRepository& cache,
                   std::vector<RemoteFile> files, const PullOptions& options, PulledModel* pulled) {
  // All processes lock in this order, so none waits for another in a circle.
  std::sort(files.begin(), files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.etag < b.etag; });
  files.erase(
      std::unique(files.begin(), files.end(),
                  [](const RemoteFile& a, const RemoteFile& b) { return a.etag == b.etag; }),
      files.end());
  std::erase_if(files, [&](const RemoteFile& file) { return blob_is_there(cache, file); });
  if (files.empty()) return {};
  ETTIN_RETURN_IF_ERROR(check_space(cache, files));
  PullProgress progress;
  progress.files = files.size();
  for (const RemoteFile& file : files) progress.total += file.bytes;
  if (options.notice) {
    options.notice(fmt::format("fetching {}@{}: {} files, {:.1f} MB", name.repository,
                               name.revision, files.size(),
                               static_cast<double>(progress.total) / 1e6));
  }
  constexpr size_t kAtOnce = 100;  // each is open twice, as a file and as a lock
  for (size_t first = 0; first < files.size(); first += kAtOnce) {
    const auto from = files.begin() + static_cast<std::ptrdiff_t>(first);
    const auto to = from + static_cast<std::ptrdiff_t>(std::min(kAtOnce, files.size() - first));
    ETTIN_RETURN_IF_ERROR(fetch_group(name, client, cache, {from, to}, options, &progress, pulled));
  }
  return {};
}

std::vector<std::string> files_below(const std::string& snapshot) {
  Result<std::vector<std::string>> paths = list_folder(snapshot, true);
  if (!paths.ok()) return {};
  std::erase_if(*paths,
                [&](const std::string& path) { return !file_exists(join_path(snapshot, path)); });
  return *std::move(paths);
}

bool has_all_shards(const std::string& snapshot, const std::string& index) {
  const Result<Json> document = parse_json_file(join_path(snapshot, index));
  const Json* const map = document.ok() ? json_member(*document, "weight_map") : nullptr;
  if (map == nullptr || !map->is_object()) return false;
  return std::all_of(map->begin(), map->end(), [&](const Json& shard) {
    return shard.is_string() && file_exists(join_path(snapshot, shard.get<std::string>()));
  });
}

}  // namespace

Result<PulledModel> pull_model(const ModelName& name, const HubSettings& settings,
                               const PullOptions& options) {
  if (settings.offline) {
    return Status(StatusCode::network_error,
                  fmt::format("{}: the hub is not asked while offline", name.repository),
                  "leave out --offline, or unset HF_HUB_OFFLINE");
  }
  const HubClient client(settings);
  const CachedRepository cache(settings.cache, name.repository);
  ETTIN_ASSIGN_OR_RETURN(const RepositoryListing listing, client.list(name));
  ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> wanted,
                         choose_files(listing.paths, options.wanted, name.repository));
  PulledModel pulled;
  pulled.commit = listing.commit;
  pulled.directory = cache.snapshot(listing.commit);
  pulled.files = wanted.size();
  std::vector<std::string> missing = wanted;
  std::erase_if(missing, [&](const std::string& path) {
    return file_exists(cache.file(listing.commit, path));
  });
  ETTIN_RETURN_IF_ERROR(cache.make_folders());
  ETTIN_ASSIGN_OR_RETURN(const std::vector<RemoteFile> files,
                         client.describe(name, listing.commit, missing));
  ETTIN_RETURN_IF_ERROR(fetch_blobs(name, client, cache, files, options, &pulled));
  for (const RemoteFile& file : files) {
    ETTIN_RETURN_IF_ERROR(cache.link(listing.commit, file.path, file.etag));
  }
  for (const std::string_view path : files_to_remember()) {
    if (std::find(listing.paths.begin(), listing.paths.end(), path) == listing.paths.end()) {
      ETTIN_RETURN_IF_ERROR(cache.mark_absent(listing.commit, path));
    }
  }
  ETTIN_RETURN_IF_ERROR(cache.set_revision(name.revision, listing.commit));
  return pulled;
}

std::optional<std::string> find_in_cache(const ModelName& name, const HubSettings& settings,
                                         const WantedFiles& wanted) {
  const CachedRepository cache(settings.cache, name.repository);
  const std::optional<std::string> commit = cache.commit_of(name.revision);
  if (!commit) return std::nullopt;
  const std::string snapshot = cache.snapshot(*commit);
  const std::vector<std::string> there = files_below(snapshot);
  const Result<std::vector<std::string>> chosen = choose_files(there, wanted, name.repository);
  if (!chosen.ok()) return std::nullopt;
  for (const std::string& path : *chosen) {
    if (path.ends_with(".index.json") && !has_all_shards(snapshot, path)) return std::nullopt;
  }
  if (settings.offline) return snapshot;
  const auto has_or_lacks = [&](std::string_view path) {
    return file_exists(cache.file(*commit, path)) || cache.known_absent(*commit, path);
  };
  if (!has_or_lacks("tokenizer.json")) return std::nullopt;
  // Another file may be there for another dtype, while "auto" prefers fp32.
  const bool other_onnx = wanted.weights && wanted.dtype == "auto" &&
                          std::any_of(chosen->begin(), chosen->end(), [](const std::string& path) {
                            return path.starts_with("onnx/");
                          });
  if (other_onnx && !has_or_lacks("onnx/model.onnx")) return std::nullopt;
  return snapshot;
}

}  // namespace ettin
