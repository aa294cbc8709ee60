#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/file.h"
#include "base/json.h"
#include "ettin/version.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRunFile = "run.json";
constexpr const char* kLockFile = ".lock";
constexpr int64_t kVersion = 1;
constexpr JsonLimits kLimits{.max_bytes = size_t{1} << 20, .max_depth = 4};
constexpr size_t kMostRecipeBytes = size_t{1} << 20;
constexpr size_t kMostKeys = 5;  // in a message

Status os_error(const std::string& path, std::string_view what, std::string_view why) {
  return Status(StatusCode::io_error, fmt::format("{}: cannot {}: {}", path, what, why),
                "make room or give write access there");
}

// A descriptor that holds the lock.
Result<int> take_lock(const std::string& run) {
  const std::string path = join_path(run, kLockFile);
  const int lock = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return os_error(path, "open", std::strerror(errno));
  int taken = 0;
  do {
    taken = ::flock(lock, LOCK_EX | LOCK_NB);
  } while (taken != 0 && errno == EINTR);
  if (taken == 0) {
    // For whoever is refused; the lock itself does not depend on it.
    const std::string holder = fmt::format("{}\n", ::getpid());
    const bool told = ::ftruncate(lock, 0) == 0 && ::write(lock, holder.data(), holder.size()) > 0;
    (void)told;
    return lock;
  }
  const int error = errno;
  ::close(lock);
  if (error != EWOULDBLOCK) return os_error(path, "lock", std::strerror(error));
  std::string holder = read_file(path, 32).ok() ? *read_file(path, 32) : "";
  std::erase_if(holder, [](char c) { return c < '0' || c > '9'; });
  return Status(StatusCode::invalid_argument,
                fmt::format("{}: another trainer is at work in this run folder{}", run,
                            holder.empty() ? "" : ", process " + holder),
                "wait for it, stop it, or choose another folder");
}

std::string to_text(const RunIdentity& identity) {
  Json data = Json::array();
  for (const RunIdentity::Data& d : identity.data) {
    data.push_back({{"phase", d.phase}, {"identity", d.identity}});
  }
  const Json json = {
      {"version", kVersion},       {"ettin", identity.version},       {"arm", identity.arm},
      {"recipe", identity.recipe}, {"tokenizer", identity.tokenizer}, {"data", std::move(data)}};
  return dump_json(json, 2) + "\n";
}

// What may be there before run.json: a beginning that was cut off.
Status check_new(const std::string& path) {
  ETTIN_ASSIGN_OR_RETURN(const auto names, list_folder(path, false));
  for (const std::string& name : names) {
    const bool ours =
        name == kLockFile || name.starts_with(kRecipeFile) || name.starts_with(kRunFile);
    if (ours) continue;
    return Status(
        StatusCode::invalid_argument,
        fmt::format("{}: the folder is not empty and holds no run, but {:.80}", path, name),
        "choose a new folder");
  }
  return {};
}

std::string stored_recipe(const std::string& path) {
  const auto text = read_file(join_path(path, kRecipeFile), kMostRecipeBytes);
  return text.ok() ? *text : std::string();
}

Status check_same(const std::string& path, const RunIdentity& there, const RunIdentity& here,
                  std::string_view recipe_yaml) {
  const auto differs = [&](std::string_view what) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{}: the run that is there has {}", path, what),
                  "go on with what it began with, or choose another folder");
  };
  if (there.arm != here.arm) {
    return differs(fmt::format("the arm {:.40}, not {}", there.arm, here.arm));
  }
  if (there.recipe != here.recipe) {
    const auto keys = differing_keys(stored_recipe(path), recipe_yaml, kMostKeys);
    return differs(
        fmt::format("another recipe{}{}", keys.empty() ? "" : ": ", fmt::join(keys, "; ")));
  }
  if (there.tokenizer != here.tokenizer) return differs("another tokenizer.json");
  if (there.data.size() != here.data.size()) return differs("other phases");
  for (size_t i = 0; i < here.data.size(); ++i) {
    if (there.data[i].identity == here.data[i].identity) continue;
    return differs(
        fmt::format("other data in its phase {}: shards or weights differ", here.data[i].phase));
  }
  return {};
}

}  // namespace

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      is_new_(other.is_new_) {}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

Result<RunFolder> RunFolder::open(const std::string& path, const RunIdentity& identity,
                                  std::string_view recipe_yaml) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return os_error(path, "create", error.message());
  const std::string full = fs::weakly_canonical(path, error).string();
  ETTIN_ASSIGN_OR_RETURN(const int lock, take_lock(path));
  RunFolder run(path, lock);
  const std::string run_file = join_path(path, kRunFile), recipe = join_path(path, kRecipeFile);
  if (file_exists(run_file)) {
    ETTIN_ASSIGN_OR_RETURN(const RunIdentity there, read_run_identity(path));
    ETTIN_RETURN_IF_ERROR(check_same(path, there, identity, recipe_yaml));
    if (stored_recipe(path) == recipe_yaml) return run;
    ETTIN_RETURN_IF_ERROR(write_file_atomic(recipe, recipe_yaml));
    ETTIN_RETURN_IF_ERROR(sync_folder(path));
    return run;
  }
  ETTIN_RETURN_IF_ERROR(check_new(path));
  run.is_new_ = true;
  RunIdentity mine = identity;
  if (mine.version.empty()) mine.version = ETTIN_VERSION_STRING;
  ETTIN_RETURN_IF_ERROR(write_file_atomic(recipe, recipe_yaml));
  ETTIN_RETURN_IF_ERROR(write_file_atomic(run_file, to_text(mine)));
  ETTIN_RETURN_IF_ERROR(sync_folder(path));
  ETTIN_RETURN_IF_ERROR(sync_folder(fs::path(full).parent_path().string()));
  return run;
}

Result<RunIdentity> read_run_identity(const std::string& path) {
  const std::string file = join_path(path, kRunFile);
  if (!file_exists(file)) {
    return Status(StatusCode::not_found,
                  fmt::format("{}: no run, for it has no {}", path, kRunFile),
                  "give the folder that `ettin train` wrote");
  }
  ETTIN_ASSIGN_OR_RETURN(const Json json, parse_json_file(file, kLimits));
  ETTIN_ASSIGN_OR_RETURN(const auto version, json_get<int64_t>(json, "version", file));
  if (version != kVersion) {
    return Status(
        StatusCode::unsupported,
        fmt::format("{}: version {} of the format; this build reads {}", file, version, kVersion),
        "use the version of ettin that wrote it");
  }
  RunIdentity identity;
  ETTIN_ASSIGN_OR_RETURN(identity.version, json_get<std::string>(json, "ettin", file));
  ETTIN_ASSIGN_OR_RETURN(identity.arm, json_get<std::string>(json, "arm", file));
  ETTIN_ASSIGN_OR_RETURN(identity.recipe, json_get<std::string>(json, "recipe", file));
  ETTIN_ASSIGN_OR_RETURN(identity.tokenizer, json_get<std::string>(json, "tokenizer", file));
  const Json* data = json_member(json, "data");
  if (data == nullptr || !data->is_array()) {
    return Status(StatusCode::bad_data, fmt::format("{}: \"data\" is not a list", file),
                  "restore the file from a copy");
  }
  for (const Json& entry : *data) {
    RunIdentity::Data one;
    ETTIN_ASSIGN_OR_RETURN(one.phase, json_get<std::string>(entry, "phase", file));
    ETTIN_ASSIGN_OR_RETURN(one.identity, json_get<std::string>(entry, "identity", file));
    identity.data.push_back(std::move(one));
  }
  return identity;
}

namespace {

// The values of a canonical text by the path of their key; entries of a list by their number.
std::map<std::string, std::string> values_of(std::string_view yaml) {
  std::map<std::string, std::string> values;
  std::vector<std::pair<size_t, std::string>> open;  // indent and key of the sections around a line
  std::map<std::string, size_t> entries;
  while (!yaml.empty()) {
    const size_t end = std::min(yaml.find('\n'), yaml.size());
    std::string_view line = yaml.substr(0, end);
    yaml.remove_prefix(std::min(end + 1, yaml.size()));
    const size_t indent = line.find_first_not_of(' ');
    if (indent == std::string_view::npos) continue;
    line.remove_prefix(indent);
    while (!open.empty() && open.back().first >= indent) open.pop_back();
    std::string path = open.empty() ? "" : open.back().second + ".";
    if (line.starts_with("- ")) {
      const size_t number = ++entries[path];
      values[fmt::format("{}{}", path, number)] = line.substr(2);
      continue;
    }
    const size_t colon = std::min(line.find(':'), line.size());
    path += line.substr(0, colon);
    const std::string_view value = line.substr(std::min(colon + 2, line.size()));
    if (value.empty()) {
      open.emplace_back(indent, path);
    } else {
      values[path] = value;
    }
  }
  return values;
}

}  // namespace

std::vector<std::string> differing_keys(std::string_view there, std::string_view here,
                                        size_t most) {
  const auto a = values_of(there);
  auto b = values_of(here);
  std::vector<std::string> keys;
  const auto add = [&](const std::string& key, std::string_view x, std::string_view y) {
    if (keys.size() < most) {
      keys.push_back(fmt::format("{:.80}: {:.80} there, {:.80} here", key, x, y));
    }
  };
  for (const auto& [key, value] : a) {
    const auto found = b.find(key);
    if (found == b.end()) {
      add(key, value, "absent");
    } else if (found->second != value) {
      add(key, value, found->second);
    }
    if (found != b.end()) b.erase(found);
  }
  for (const auto& [key, value] : b) add(key, "absent", value);
  return keys;
}

}  // namespace ettin
