#include "infer/locate_model.h"

#include <fmt/format.h>

#include "base/file.h"
#include "formats/checkpoint_trail.h"
#include "hub/cache.h"

namespace ettin {
namespace {

constexpr std::string_view kFamily = "jhu-clsp/ettin-";  // whose phases the table is of

// The phase that every name of the commit agrees on, as far as it says one.
TrainingPhase phase_of_snapshot(const SnapshotNames& snapshot) {
  TrainingPhase found;
  if (!snapshot.repository.starts_with(kFamily)) return found;
  for (const std::string& name : snapshot.revisions) {
    const Phase phase = phase_of(name);
    if (phase == Phase::unknown) continue;
    if (found.phase != Phase::unknown && found.phase != phase) return {};
    found.phase = phase;
    found.said_by = fmt::format("revision {}", name);
  }
  if (found.phase != Phase::unknown && is_cross_objective(snapshot.repository)) {
    found.cross_objective = true;
    found.said_by = fmt::format("{} at {}", snapshot.repository, found.said_by);
  }
  return found;
}

}  // namespace

Result<ModelFiles> locate_model(const std::string& path, std::string_view dtype) {
  ETTIN_ASSIGN_OR_RETURN(ModelFiles files, find_model_files(path));
  files.dtype = dtype;
  if (const auto snapshot = names_of_snapshot(files.directory)) {
    const TrainingPhase phase = phase_of_snapshot(*snapshot);
    if (phase.known()) files.phase = phase;
  }
  return files;
}

Result<ModelFolder> open_model_folder(const std::string& path, std::vector<std::string>* warnings,
                                      std::string_view dtype) {
  ETTIN_ASSIGN_OR_RETURN(const ModelFiles files, locate_model(path, dtype));
  return read_model_folder(files, warnings);
}

Result<std::optional<std::string>> find_local_model(const std::string& model) {
  if (directory_exists(model)) return std::optional(model);
  if (is_checkpoint_name(model) && model.find('@') == std::string::npos) {
    if (file_exists(model)) return std::optional(model);
    return Status(StatusCode::not_found, fmt::format("{:.200}: no such checkpoint", model),
                  "give the path of a training checkpoint *.pt, or a folder that holds some");
  }
  if (model.ends_with(".onnx") && file_exists(model)) return std::optional(model);
  const size_t at = model.rfind('@');
  if (at == std::string::npos || at == 0) return std::optional<std::string>();
  const std::string folder = model.substr(0, at);
  if (!directory_exists(folder)) return std::optional<std::string>();
  ETTIN_ASSIGN_OR_RETURN(const std::vector<TrailFile> trail, list_trail(folder));
  if (trail.empty()) return std::optional<std::string>();
  ETTIN_ASSIGN_OR_RETURN(const TrailFile file, choose(trail, model.substr(at + 1), folder));
  return std::optional(join_path(folder, file.name));
}

}  // namespace ettin
