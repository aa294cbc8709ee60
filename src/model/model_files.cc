#include "model/model_files.h"

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "base/file.h"
#include "formats/checkpoint_trail.h"
#include "formats/tensor_source.h"

namespace ettin {
namespace {

// "." and "x/.." have names too.
std::string full_path(const std::string& path) {
  std::error_code error;
  const std::filesystem::path full = std::filesystem::absolute(path, error);
  return error ? path : full.lexically_normal().string();
}

ModelFiles of_checkpoint(const std::string& path) {
  ModelFiles files;
  const size_t slash = path.rfind('/');
  files.directory = slash == std::string::npos ? "." : path.substr(0, slash + (slash == 0 ? 1 : 0));
  files.checkpoint = path;
  files.phase = phase_of_path(full_path(path));
  return files;
}

ModelFiles of_onnx(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(full_path(path)).parent_path();
  const bool beside = file_exists(join_path(folder.string(), "config.json"));
  ModelFiles files;
  files.directory =
      beside || folder.filename() != "onnx" ? folder.string() : folder.parent_path().string();
  files.onnx = path;
  return files;
}

}  // namespace

Result<ModelFiles> find_model_files(const std::string& path) {
  if (is_checkpoint_name(path) && file_exists(path)) return of_checkpoint(path);
  if (path.ends_with(".onnx") && file_exists(path)) return of_onnx(path);
  if (!directory_exists(path)) {
    return Status(StatusCode::not_found, fmt::format("{}: no such folder", path),
                  "give a folder with config.json, model.safetensors and tokenizer.json, or a "
                  "training checkpoint *.pt");
  }
  ModelFiles files;
  files.directory = path;
  if (TensorSource::has_weights(path)) {
    // A checkpoint of our own trainer has the thetas that it was trained with in its config.json.
    if (!file_exists(join_path(path, "training_state.json"))) {
      files.suggested = phase_of_revision(full_path(path));
    }
    return files;
  }
  ETTIN_ASSIGN_OR_RETURN(const std::vector<TrailFile> trail, list_trail(path));
  if (trail.empty()) return files;
  ETTIN_ASSIGN_OR_RETURN(const TrailFile taken, newest(trail, path));
  files = of_checkpoint(join_path(path, taken.name));
  files.directory = path;
  return files;
}

}  // namespace ettin
