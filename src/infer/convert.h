// A model folder in another layout or floating type: the work of `ettin convert`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ettin/status.h"
#include "model/arm.h"
#include "model/config.h"
#include "tensor/dtype.h"

namespace ettin {

struct ConvertOptions {
  // f32, f16 or bf16; absent: the source's, where all its tensors have one of these, else f32.
  std::optional<Dtype> dtype;
  // The class that the copy is for; absent: the source's. Another one changes names and splits of
  // the tensors, and what config.json says about kind and rope thetas, but no weight.
  std::optional<Arm> arm;
  uint64_t shard_bytes = 5'000'000'000;
  AskedThetas thetas;  // in place of the source's own
  bool force = false;  // replace a model folder that is at the target
};

// `from`: a folder or a training checkpoint. Writes a folder `to` that transformers loads: weights
// as model/save_floating.h says, config.json, generation_config.json for decoders, and copies of
// the small files. Complete or absent. What a user should know is appended to *warnings.
Status convert_folder(const std::string& from, const std::string& to, const ConvertOptions& options,
                      std::vector<std::string>* warnings);

}  // namespace ettin
