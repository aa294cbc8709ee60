#include "train/durable_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAside = ".tmp-", kGoing = ".trash-";

Status os_error(const std::string& path, std::string_view what, std::string_view why) {
  return Status(StatusCode::io_error, fmt::format("{}: cannot {}: {}", path, what, why));
}

Status rename_path(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return {};
  return os_error(from, fmt::format("rename to {}", to), std::strerror(errno));
}

Status remove_tree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? os_error(path, "remove", error.message()) : Status();
}

std::string going(const std::string& parent, const std::string& name) {
  return join_path(parent, fmt::format("{}{}-{}", kGoing, name, ::getpid()));
}

}  // namespace

DurableFolder::DurableFolder(std::string parent, std::string name, std::string path)
    : parent_(std::move(parent)), name_(std::move(name)), path_(std::move(path)) {}

DurableFolder::DurableFolder(DurableFolder&& other) noexcept
    : parent_(std::move(other.parent_)),
      name_(std::move(other.name_)),
      path_(std::exchange(other.path_, {})) {}

DurableFolder::~DurableFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<DurableFolder> DurableFolder::create(const std::string& parent, const std::string& name) {
  std::error_code error;
  const bool is_new = fs::create_directories(parent, error);
  if (error) return os_error(parent, "create", error.message());
  if (is_new) {
    const std::string above = fs::path(parent).parent_path().string();
    ETTIN_RETURN_IF_ERROR(sync_folder(above.empty() ? "." : above));
  }
  const std::string path = join_path(parent, fmt::format("{}{}-{}", kAside, name, ::getpid()));
  ETTIN_RETURN_IF_ERROR(remove_tree(path));
  DurableFolder folder(parent, name, path);
  fs::create_directory(path, error);
  if (error) return os_error(path, "create", error.message());
  return folder;
}

Status DurableFolder::publish() {
  ETTIN_RETURN_IF_ERROR(sync_folder(path_));
  const std::string target = join_path(parent_, name_);
  std::error_code error;
  if (!fs::exists(fs::symlink_status(target, error))) {
    ETTIN_RETURN_IF_ERROR(rename_path(path_, target));
    path_.clear();
    return sync_folder(parent_);
  }
  // What is there leaves in the same step as the new one comes, where the file system can do that.
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
    const std::string old = going(parent_, name_);
    ETTIN_RETURN_IF_ERROR(rename_path(target, old));
    ETTIN_RETURN_IF_ERROR(rename_path(path_, target));
    path_ = old;
  }
  ETTIN_RETURN_IF_ERROR(sync_folder(parent_));
  return remove_tree(std::exchange(path_, {}));
}

Status remove_durably(const std::string& parent, const std::string& name) {
  const std::string old = going(parent, name);
  ETTIN_RETURN_IF_ERROR(rename_path(join_path(parent, name), old));
  ETTIN_RETURN_IF_ERROR(sync_folder(parent));
  return remove_tree(old);
}

Status remove_left_overs(const std::string& parent) {
  ETTIN_ASSIGN_OR_RETURN(const auto names, list_folder(parent, false));
  for (const std::string& name : names) {
    if (!name.starts_with(kAside) && !name.starts_with(kGoing)) continue;
    ETTIN_RETURN_IF_ERROR(remove_tree(join_path(parent, name)));
  }
  return {};
}

}  // namespace ettin
