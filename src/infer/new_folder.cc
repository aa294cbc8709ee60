#include "infer/new_folder.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "formats/sentence_transformers.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSmallFile = size_t{64} << 20;
// Beside config.json, which is written anew, and the weights. A report and a training run's
// checksums belong to one folder.
constexpr std::array<std::string_view, 3> kNotCopied = {"config.json", "quantization_report.json",
                                                        "checksums.json"};
constexpr std::array<std::string_view, 5> kCopiedKinds = {".json", ".txt", ".md", ".jinja",
                                                          ".model"};

Status os_error(const std::string& path, std::string_view what, const std::error_code& error) {
  return Status(StatusCode::io_error,
                fmt::format("{}: cannot {}: {}", path, what, error.message()));
}

// With every symbolic link followed as far as the path exists, without a slash at the end.
std::string full_path(const std::string& path) {
  std::error_code ignored;
  fs::path full = fs::weakly_canonical(fs::absolute(path, ignored), ignored);
  if (full.filename().empty()) full = full.parent_path();
  return full.string();
}

bool lies_inside(const std::string& inner, const std::string& outer) {
  return inner == outer || inner.starts_with(outer == "/" ? outer : outer + "/");
}

Status check_target(const std::string& from, const std::string& to, bool force) {
  if (lies_inside(to, from) || lies_inside(from, to)) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{}: the target lies inside the model's folder, or around it", to),
                  "choose a folder beside it");
  }
  std::error_code error;
  if (!fs::exists(fs::symlink_status(to, error))) return {};
  if (!fs::is_directory(to, error)) {
    return Status(StatusCode::invalid_argument, to + ": is not a folder", "choose another target");
  }
  if (fs::is_empty(to, error) && !error) return {};
  if (!force) {
    return Status(StatusCode::invalid_argument, to + ": the folder exists and is not empty",
                  "choose another target, or replace the model there with --force");
  }
  if (!file_exists(join_path(to, "config.json"))) {
    return Status(StatusCode::invalid_argument,
                  to + ": is not a model folder, so it is not replaced", "choose another target");
  }
  return {};
}

Status copy_file(const std::string& from, const std::string& to) {
  ETTIN_ASSIGN_OR_RETURN(const std::string contents, read_file(from, kSmallFile));
  return write_file_atomic(to, contents);
}

bool is_copied(const std::string& name) {
  if (name.ends_with(".index.json")) return false;
  if (std::find(kNotCopied.begin(), kNotCopied.end(), name) != kNotCopied.end()) return false;
  return name.starts_with("LICENSE") ||
         std::any_of(kCopiedKinds.begin(), kCopiedKinds.end(),
                     [&](std::string_view kind) { return name.ends_with(kind); });
}

// The regular files of a folder that `wanted` names; none when there is no such folder. A link that
// leaves the folder is left out: what it points to need not be meant for whoever gets the copy.
template <class Wanted>
Status copy_files(const std::string& from, const std::string& to, Wanted wanted) {
  std::error_code error;
  for (fs::directory_iterator at(from, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!wanted(name) || !file_exists(join_path(from, name))) continue;
    const Result<std::string> path = resolve_beneath(from, name);
    if (path.ok()) {
      ETTIN_RETURN_IF_ERROR(copy_file(*path, join_path(to, name)));
    } else {
      log_warning("not copied: " + path.status().message());
    }
  }
  return error ? os_error(from, "read", error) : Status();
}

}  // namespace

NewFolder::NewFolder(std::string from, std::string target, std::string path)
    : from_(std::move(from)), target_(std::move(target)), path_(std::move(path)) {}

NewFolder::NewFolder(NewFolder&& other) noexcept
    : from_(std::move(other.from_)),
      target_(std::move(other.target_)),
      path_(std::exchange(other.path_, {})) {}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<NewFolder> NewFolder::create(const std::string& from, const std::string& to, bool force) {
  if (!directory_exists(from)) {
    return Status(StatusCode::not_found, fmt::format("{}: no such folder", from),
                  "give a folder with config.json, model.safetensors and tokenizer.json");
  }
  const std::string target = full_path(to);
  ETTIN_RETURN_IF_ERROR(check_target(full_path(from), target, force));
  NewFolder folder(from, target, fmt::format("{}.tmp-{}", target, ::getpid()));
  std::error_code error;
  fs::create_directories(fs::path(target).parent_path(), error);
  // Somebody else's folder of that name is not ours to fill or to remove.
  if (!error && !fs::create_directory(folder.path_, error) && !error) {
    error = std::make_error_code(std::errc::file_exists);
  }
  if (error) {
    const Status status = os_error(folder.path_, "create", error);
    folder.path_.clear();
    return status;
  }
  return folder;
}

Status NewFolder::copy_small_files() const {
  ETTIN_RETURN_IF_ERROR(copy_files(from_, path_, is_copied));
  ETTIN_ASSIGN_OR_RETURN(const auto modules, read_sentence_modules(from_));
  if (!modules) return {};
  for (const SentenceModule& module : modules->modules) {
    if (module.kind == SentenceModule::Kind::normalize) continue;  // nothing is in its folder
    const std::string folder = join_path(path_, fs::path(module.where).filename().string());
    std::error_code error;
    fs::create_directory(folder, error);
    if (error) return os_error(folder, "create", error);
    ETTIN_RETURN_IF_ERROR(
        copy_files(module.where, folder, [](const std::string&) { return true; }));
  }
  return {};
}

Status NewFolder::move_to_target() {
  std::error_code error;
  const std::string old = path_ + "-old";
  const bool replaces = fs::exists(target_, error) && !fs::is_empty(target_, error);
  if (replaces) fs::rename(target_, old, error);
  if (error) return os_error(target_, "replace", error);
  fs::rename(path_, target_, error);
  if (error) {
    const Status status = os_error(target_, "create", error);
    if (replaces) fs::rename(old, target_, error);
    return status;
  }
  path_.clear();
  if (replaces) fs::remove_all(old, error);
  return {};
}

}  // namespace ettin
