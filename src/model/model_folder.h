// What a model folder says and stores, without packing any of it: for tools that read weights.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor_source.h"
#include "model/config.h"
#include "model/find_tensors.h"

namespace ettin {

struct ModelFolder {
  ModelConfig config;
  TensorSource source;
  std::vector<FoundTensor> plan;  // points into the source
};

// Tensors that nothing uses are allowed. Remarks are appended to *warnings.
// `dtype` chooses among ONNX files.
Result<ModelFolder> read_model_folder(const std::string& directory,
                                      std::vector<std::string>* warnings,
                                      std::string_view dtype = "auto");

}  // namespace ettin
