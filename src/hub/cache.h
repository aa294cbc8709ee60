// The cache that Python's huggingface_hub keeps, read and written in its layout:
//
//   models--ORG--NAME/refs/REVISION               one line, the commit
//   models--ORG--NAME/blobs/ETAG                  a file's contents
//   models--ORG--NAME/snapshots/COMMIT/PATH       a relative link to its blob
//   models--ORG--NAME/.no_exist/COMMIT/PATH       empty: the repository has no such file
//   .locks/models--ORG--NAME/ETAG.lock            held (flock) by who writes the blob
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin {

// May `path`, which a server named, become a path below a snapshot? No part of it is empty, "." or
// "..", and none has a backslash or a control character.
bool is_repository_path(std::string_view path);
// 40 or 64 lower-case hexadecimal digits: the only names that a blob can be checked against.
bool is_blob_name(std::string_view etag);

class CachedRepository {
 public:
  // `repository`: "org/name".
  CachedRepository(std::string_view cache, std::string_view repository);

  const std::string& folder() const { return folder_; }
  std::string blob(std::string_view etag) const;
  std::string lock_file(std::string_view etag) const;
  std::string snapshot(std::string_view commit) const;
  std::string file(std::string_view commit, std::string_view path) const;

  // The commit that `revision` was when it was last looked up; a commit is itself.
  std::optional<std::string> commit_of(std::string_view revision) const;
  bool known_absent(std::string_view commit, std::string_view path) const;

  Status make_folders() const;
  Status set_revision(std::string_view revision, std::string_view commit) const;
  Status mark_absent(std::string_view commit, std::string_view path) const;
  // The file of a snapshot, as a link to its blob.
  Status link(std::string_view commit, std::string_view path, std::string_view etag) const;

  // Removes the repository, or one revision with the blobs that no other revision uses. Nothing
  // that is half removed looks complete.
  Status remove() const;
  Status remove_revision(std::string_view commit) const;

 private:
  std::string locks_, folder_;
};

// Of a folder models--ORG--NAME/snapshots/COMMIT of any cache.
struct SnapshotNames {
  std::string repository;              // "org/name"
  std::vector<std::string> revisions;  // branches and tags that were looked up and are its commit
};
std::optional<SnapshotNames> names_of_snapshot(const std::string& directory);

struct CachedRevision {
  std::string commit;
  std::vector<std::string> names;  // branches and tags; none for a commit asked for by itself
  uint64_t bytes = 0;
  size_t files = 0;
  std::string kind;  // model_type of config.json
};

struct CachedModel {
  std::string repository;
  uint64_t bytes = 0;  // on disk, shared files once
  std::vector<CachedRevision> revisions;
};

// All models of a cache, by name. A cache that does not exist is empty.
std::vector<CachedModel> list_cache(const std::string& cache);

// An exclusive lock between processes, and with huggingface_hub; given back on destruction.
class FileLock {
 public:
  // nullopt: another process holds it.
  static Result<std::optional<FileLock>> try_lock(const std::string& path);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace ettin
