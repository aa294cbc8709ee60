// config.json with every rule applied, or what stands for it where weights have none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/hf_config.h"
#include "formats/tensor_source.h"
#include "model/config.h"
#include "model/model_files.h"

namespace ettin {

struct ModelSettings {
  Json json;  // as config.json should be, rope thetas included where a rule decided them
  HfConfig file;
  ModelConfig config;
  std::optional<Checkpoint> checkpoint;  // opened, where the model is one
};

// Rope thetas: what is asked for; else what the training phase had, where a name says the phase
// (model/training_phase.h); else what config.json or the checkpoint states; else, with a warning,
// those of the last phases.
Result<ModelSettings> read_settings(const ModelFiles& files, std::vector<std::string>* warnings,
                                    const AskedThetas& asked = {});

// The weights; `settings` of the same files gives away those that are open already.
Result<TensorSource> open_weights(const ModelFiles& files, ModelSettings* settings = nullptr);

}  // namespace ettin
