#include "hub/cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/utf8.h"
#include "hub/model_name.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;

std::string folder_name(std::string_view repository) {
  std::string name = "models--";
  for (const char c : repository) name += c == '/' ? std::string("--") : std::string(1, c);
  return name;
}

Status failed(const std::string& path, std::string_view what, const std::error_code& error) {
  return Status(StatusCode::io_error,
                fmt::format("{}: cannot {}: {}", path, what, error.message()));
}

Status make_parents(const std::string& path) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  return error ? failed(path, "make its folder", error) : Status();
}

Status remove_tree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? failed(path, "remove", error) : Status();
}

// Empty when `entry` is no link to a blob.
std::string blob_of(const fs::path& entry) {
  std::error_code error;
  const fs::path target = fs::read_symlink(entry, error);
  return error ? std::string() : target.filename().string();
}

}  // namespace

bool is_repository_path(std::string_view path) {
  if (path.empty() || path.size() > 1000 || !is_valid_utf8(path)) return false;
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > 250) return false;
    if (std::any_of(part.begin(), part.end(), [](char c) {
          return c == '\\' || c == 127 || static_cast<unsigned char>(c) < ' ';
        })) {
      return false;
    }
    begin = end + 1;
  }
  return true;
}

bool is_blob_name(std::string_view etag) {
  return (etag.size() == 40 || etag.size() == 64) &&
         std::all_of(etag.begin(), etag.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

CachedRepository::CachedRepository(std::string_view cache, std::string_view repository)
    : locks_(join_path(join_path(cache, ".locks"), folder_name(repository))),
      folder_(join_path(cache, folder_name(repository))) {}

std::string CachedRepository::blob(std::string_view etag) const {
  return fmt::format("{}/blobs/{}", folder_, etag);
}

std::string CachedRepository::lock_file(std::string_view etag) const {
  return fmt::format("{}/{}.lock", locks_, etag);
}

std::string CachedRepository::snapshot(std::string_view commit) const {
  return fmt::format("{}/snapshots/{}", folder_, commit);
}

std::string CachedRepository::file(std::string_view commit, std::string_view path) const {
  return join_path(snapshot(commit), path);
}

std::optional<std::string> CachedRepository::commit_of(std::string_view revision) const {
  if (is_commit(revision)) return std::string(revision);
  if (!is_revision(revision)) return std::nullopt;
  Result<std::string> line = read_file(fmt::format("{}/refs/{}", folder_, revision), 200);
  if (!line.ok()) return std::nullopt;
  while (line->ends_with('\n') || line->ends_with('\r')) line->pop_back();
  return is_commit(*line) ? std::optional(*std::move(line)) : std::nullopt;
}

bool CachedRepository::known_absent(std::string_view commit, std::string_view path) const {
  return file_exists(fmt::format("{}/.no_exist/{}/{}", folder_, commit, path));
}

Status CachedRepository::make_folders() const {
  for (const char* name : {"blobs", "refs", "snapshots"}) {
    ETTIN_RETURN_IF_ERROR(make_parents(fmt::format("{}/{}/x", folder_, name)));
  }
  return make_parents(lock_file("x"));
}

Status CachedRepository::set_revision(std::string_view revision, std::string_view commit) const {
  if (is_commit(revision) || commit_of(revision) == commit) return {};
  const std::string path = fmt::format("{}/refs/{}", folder_, revision);
  ETTIN_RETURN_IF_ERROR(make_parents(path));
  return write_file_atomic(path, commit);
}

Status CachedRepository::mark_absent(std::string_view commit, std::string_view path) const {
  const std::string marker = fmt::format("{}/.no_exist/{}/{}", folder_, commit, path);
  if (file_exists(marker)) return {};
  ETTIN_RETURN_IF_ERROR(make_parents(marker));
  return write_file_atomic(marker, "");
}

Status CachedRepository::link(std::string_view commit, std::string_view path,
                              std::string_view etag) const {
  const std::string at = file(commit, path);
  const fs::path target = fs::path(blob(etag)).lexically_relative(fs::path(at).parent_path());
  std::error_code error;
  // A plain file is what huggingface_hub leaves where links cannot be made.
  if (blob_of(at) == etag || fs::is_regular_file(fs::symlink_status(at, error))) return {};
  ETTIN_RETURN_IF_ERROR(make_parents(at));
  const std::string aside = fmt::format("{}.tmp-{}", at, etag.substr(0, 8));
  fs::remove(aside, error);
  fs::create_symlink(target, aside, error);
  if (!error) fs::rename(aside, at, error);
  return error ? failed(at, "link", error) : Status();
}

Status CachedRepository::remove() const {
  for (const char* name : {"refs", "snapshots"}) {
    ETTIN_RETURN_IF_ERROR(remove_tree(join_path(folder_, name)));
  }
  ETTIN_RETURN_IF_ERROR(remove_tree(folder_));
  return remove_tree(locks_);
}

Status CachedRepository::remove_revision(std::string_view commit) const {
  // Before anything is removed: what cannot be read may hold links to the same blobs.
  const std::string refs = join_path(folder_, "refs"), snapshots = join_path(folder_, "snapshots");
  ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> names, list_folder(refs, true));
  ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> entries, list_folder(snapshots, true));
  for (const std::string& name : names) {
    if (commit_of(name) == commit) ETTIN_RETURN_IF_ERROR(remove_tree(join_path(refs, name)));
  }
  std::vector<std::string> freed, used;
  for (const std::string& entry : entries) {
    const std::string blob = blob_of(join_path(snapshots, entry));
    if (blob.empty()) continue;
    (entry.starts_with(std::string(commit) + "/") ? freed : used).push_back(blob);
  }
  ETTIN_RETURN_IF_ERROR(remove_tree(snapshot(commit)));
  ETTIN_RETURN_IF_ERROR(remove_tree(fmt::format("{}/.no_exist/{}", folder_, commit)));
  for (const std::string& name : freed) {
    if (is_blob_name(name) && std::find(used.begin(), used.end(), name) == used.end()) {
      ETTIN_RETURN_IF_ERROR(remove_tree(blob(name)));
    }
  }
  return {};
}

}  // namespace ettin
