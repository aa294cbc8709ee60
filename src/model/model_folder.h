// What a model folder says and stores, without packing any of it: for tools that read weights.
#pragma once

#include <string>
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
Result<ModelFolder> read_model_folder(const std::string& directory,
                                      std::vector<std::string>* warnings);

}  // namespace ettin
