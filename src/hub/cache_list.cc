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

CachedRevision describe_snapshot(const fs::path& snapshot, std::set<std::string>* counted,
                                 uint64_t* bytes_on_disk) {
  CachedRevision revision;
  revision.commit = snapshot.filename().string();
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(snapshot, error)) {
    const uint64_t bytes = entry.is_regular_file(error) ? entry.file_size(error) : 0;
    if (error || !entry.is_regular_file(error)) continue;
    ++revision.files;
    revision.bytes += bytes;
    const std::string blob = fs::canonical(entry.path(), error).string();
    if (!error && counted->insert(blob).second) *bytes_on_disk += bytes;
  }
  const Result<Json> config = parse_json_file((snapshot / "config.json").string());
  if (config.ok()) {
    const auto kind = json_find<std::string>(*config, "model_type", "config.json");
    if (kind.ok() && *kind) revision.kind = **kind;
  }
  return revision;
}

}  // namespace

std::vector<CachedModel> list_cache(const std::string& cache) {
  std::vector<CachedModel> models;
  std::error_code error;
  for (const auto& folder : fs::directory_iterator(cache, error)) {
    CachedModel model;
    model.repository = repository_of(folder.path().filename().string());
    if (model.repository.empty()) continue;
    const CachedRepository repository(cache, model.repository);
    std::set<std::string> counted;
    for (const auto& snapshot : fs::directory_iterator(folder.path() / "snapshots", error)) {
      if (!is_commit(snapshot.path().filename().string())) continue;
      model.revisions.push_back(describe_snapshot(snapshot.path(), &counted, &model.bytes));
    }
    const fs::path references = folder.path() / "refs";
    for (const auto& entry : fs::recursive_directory_iterator(references, error)) {
      const std::string name = entry.path().lexically_relative(references).string();
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
