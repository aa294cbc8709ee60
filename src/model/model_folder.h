// What a model's folder or checkpoint says and stores, without packing any of it: for tools that
// read weights.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "formats/tensor_source.h"
#include "model/config.h"
#include "model/find_tensors.h"
#include "model/model_files.h"

namespace ettin {

struct ModelFolder {
  Json settings;  // config.json, or what stands for it: model/model_settings.h
  ModelConfig config;
  TensorSource source;
  std::vector<FoundTensor> plan;  // points into the source
};

// What to load for the weights that `folder`, read from `path`, has: of ONNX files the one that was
// taken, which any --dtype can then compute.
std::string weights_path(const ModelFolder& folder, const std::string& path);

// Tensors that nothing uses are allowed. Remarks are appended to *warnings.
Result<ModelFolder> read_model_folder(const ModelFiles& files, std::vector<std::string>* warnings,
                                      const AskedThetas& asked = {});

}  // namespace ettin
