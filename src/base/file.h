// Files: whole reads with a size limit, memory maps, atomic writes, and the one opener for files
// whose names come from another file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin {

// The whole file; resource_limit when it is larger than max_bytes (checked before reading).
Result<std::string> read_file(const std::string& path, size_t max_bytes);

// Read-only map of a regular file; the size is taken once, when it is opened. A file that another
// process truncates while it is mapped is outside the contract. Move-only; unmaps on destruction.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

// Tells the system that whole pages of a read-only map inside `bytes` are not needed in memory now;
// reading them again fetches them from the file. Precondition: they belong to a MappedFile.
void release_pages(std::span<const std::byte> bytes);

// "SIZE@TIME", the time of the last change in nanoseconds: differs when a file was written anew.
Result<std::string> file_stamp(const std::string& path);

// True for a plain file name that is safe to take from an untrusted file: 1 to 200 characters of
// [A-Za-z0-9._-], not "." or "..".
bool is_plain_file_name(std::string_view name);

// The path of `name` inside `directory`, for a name that came from an untrusted file. Refuses names
// that are not plain, and symbolic links that leave the directory, except links of a Hugging Face
// cache (snapshots/COMMIT/x -> ../../blobs/HASH) that stay inside that repository's folder.
Result<std::string> resolve_beneath(const std::string& directory, std::string_view name);

// A file that is written in pieces, at any place, beside its path; commit() syncs and renames it,
// so it is complete or absent. Move-only; without commit() nothing is left behind.
class OutputFile {
 public:
  static Result<OutputFile> create(const std::string& path);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  Status write_at(uint64_t offset, std::span<const std::byte> bytes);
  Status commit();

 private:
  OutputFile(int descriptor, std::string path, std::string aside);

  int descriptor_;  // -1 after commit()
  std::string path_, aside_;
};

// The whole contents at once, as an OutputFile.
Status write_file_atomic(const std::string& path, std::string_view contents);

// Waits until the names in a folder are on the disk: what was created or renamed there survives a
// loss of power only after it.
Status sync_folder(const std::string& directory);

bool file_exists(const std::string& path);  // a regular file (links followed)
bool directory_exists(const std::string& path);

// Paths of what a folder holds, relative to it, in the order of the system; `deep`: of what its
// folders hold too, links not followed. Empty when there is no such folder; an error when a part
// of it cannot be read.
Result<std::vector<std::string>> list_folder(const std::string& directory, bool deep);
std::string join_path(std::string_view directory, std::string_view name);

}  // namespace ettin
