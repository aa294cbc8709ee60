// Paths to the parts of a model, with what the hub's cache knows of where it came from.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/model_files.h"
#include "model/model_folder.h"

namespace ettin {

// A path that resolve_model() gave. The snapshot of an Ettin repository in the cache has the
// training phase that a revision of its commit says: "step590532".
// `dtype` chooses among ONNX files.
Result<ModelFiles> locate_model(const std::string& path, std::string_view dtype = "auto");

Result<ModelFolder> open_model_folder(const std::string& path, std::vector<std::string>* warnings,
                                      std::string_view dtype = "auto");

// What a user wrote, where it is something on this machine: a folder, checkpoint or ONNX file, or
// FOLDER@baN, one of a folder's checkpoints. nullopt: nothing of that kind is there.
Result<std::optional<std::string>> find_local_model(const std::string& model);

}  // namespace ettin
