#include <algorithm>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "hub/cache.h"
#include "hub/model_name.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;

std::string repository_of(std::string_view folder) {
  constexpr std::string_view kModels = "models--";
  if (!folder.starts_with(kModels)) return {};
  std::string name(folder.substr(kModels.size()));
  const size_t slash = name.find("--");
  if (slash != std::string::npos) name.replace(slash, 2, "/");
  return name;
}

// What cannot be read is left out of a list.
std::vector<std::string> readable(const std::string& folder, bool deep) {
  Result<std::vector<std::string>> paths = list_folder(folder, deep);
  return paths.ok() ? *std::move(paths) : std::vector<std::string>();
}

CachedRevision describe_snapshot(const std::string& snapshot, std::string commit,
                                 std::set<std::string>* counted, uint64_t* bytes_on_disk) {
  CachedRevision revision;
  revision.commit = std::move(commit);
  for (const std::string& path : readable(snapshot, true)) {
    const std::string file = join_path(snapshot, path);
    std::error_code error;
    if (!fs::is_regular_file(file, error)) continue;
    const uint64_t bytes = fs::file_size(file, error);
    if (error) continue;
    ++revision.files;
    revision.bytes += bytes;
    const std::string blob = fs::canonical(file, error).string();
    if (!error && counted->insert(blob).second) *bytes_on_disk += bytes;
  }
  const Result<Json> config = parse_json_file(join_path(snapshot, "config.json"));
  if (config.ok()) {
    const auto kind = json_find<std::string>(*config, "model_type", "config.json");
    if (kind.ok() && *kind) revision.kind = **kind;
  }
  return revision;
}

}  // namespace

std::optional<SnapshotNames> names_of_snapshot(const std::string& directory) {
  std::error_code error;
  fs::path path = fs::absolute(directory, error).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  const fs::path folder = path.parent_path().parent_path();
  const std::string commit = path.filename().string();
  SnapshotNames names{repository_of(folder.filename().string()), {}};
  if (error || !is_commit(commit) || path.parent_path().filename() != "snapshots" ||
      names.repository.empty()) {
    return std::nullopt;
  }
  const CachedRepository repository(folder.parent_path().string(), names.repository);
  for (const std::string& name : readable((folder / "refs").string(), true)) {
    if (repository.commit_of(name) == commit) names.revisions.push_back(name);
  }
  std::sort(names.revisions.begin(), names.revisions.end());
  return names;
}

std::vector<CachedModel> list_cache(const std::string& cache) {
  std::vector<CachedModel> models;
  for (const std::string& name_in_cache : readable(cache, false)) {
    CachedModel model;
    model.repository = repository_of(name_in_cache);
    if (model.repository.empty()) continue;
    const CachedRepository repository(cache, model.repository);
    const std::string folder = join_path(cache, name_in_cache);
    std::set<std::string> counted;
    for (const std::string& commit : readable(join_path(folder, "snapshots"), false)) {
      if (!is_commit(commit)) continue;
      model.revisions.push_back(
          describe_snapshot(repository.snapshot(commit), commit, &counted, &model.bytes));
    }
    for (const std::string& name : readable(join_path(folder, "refs"), true)) {
      const std::optional<std::string> commit = repository.commit_of(name);
      for (CachedRevision& revision : model.revisions) {
        if (commit == revision.commit) revision.names.push_back(name);
      }
    }
    for (CachedRevision& r : model.revisions) std::sort(r.names.begin(), r.names.end());
    std::sort(model.revisions.begin(), model.revisions.end(),
              [](const auto& a, const auto& b) { return a.commit < b.commit; });
    if (!model.revisions.empty()) models.push_back(std::move(model));
  }
  std::sort(models.begin(), models.end(),
            [](const auto& a, const auto& b) { return a.repository < b.repository; });
  return models;
}

}  // namespace ettin
