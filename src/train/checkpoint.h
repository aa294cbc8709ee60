// A checkpoint of a run: a folder that Hugging Face's libraries and ettin load as a model, with the
// optimiser's moments and the state beside it. Complete or absent: written aside, synced, its
// files' checksums listed in the file that is written last, renamed.
//
//   step0000200/config.json model.safetensors tokenizer.json ...   the model, fp32
//   step0000200/optimizer.safetensors   m and v under the weights' names
//   step0000200/training_state.json     TrainState, arm, hash of the recipe
//   step0000200/checksums.json          SHA-256 and size of each file above; makes it complete
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ettin/status.h"
#include "model/config.h"
#include "train/train_state.h"

namespace ettin {

struct CheckpointIdentity {
  Arm arm;
  std::string recipe_hash;  // Recipe::identity(); a run does not resume with another recipe
};

struct FoundCheckpoint {
  std::string path, tag;  // "RUN/checkpoints/step0000200", "step"
  int64_t step = 0;       // of the whole run
};

// The folder is FOLDER/TAG + step of the phase, seven digits. `tokenizer` is a folder whose
// tokenizer files are copied, or empty.
Result<std::string> write_checkpoint(const std::string& folder, const std::string& tag,
                                     const ModelConfig& config, const std::string& tokenizer,
                                     const CheckpointIdentity& identity, const TrainState& state,
                                     const TrainTensors& tensors);

// All complete ones, oldest first; nothing is verified. Left-overs of writes that were cut off are
// removed when `clean`.
Result<std::vector<FoundCheckpoint>> list_checkpoints(const std::string& folder, bool clean);

// Checks every file against checksums.json, then the state and all tensors into `tensors` (already
// of the right shapes).
Status read_checkpoint(const std::string& path, const ModelConfig& config,
                       const CheckpointIdentity& identity, TrainState* state,
                       TrainTensors* tensors);

// The newest checkpoint that reads well; each that does not is a warning that names the file and
// says which one is used instead. nullopt: there is none.
Result<std::optional<FoundCheckpoint>> resume_from_newest(const std::string& folder,
                                                          const ModelConfig& config,
                                                          const CheckpointIdentity& identity,
                                                          TrainState* state, TrainTensors* tensors,
                                                          std::vector<std::string>* warnings);

// Removes old ones: the newest `keep` stay, and each tag's last. keep 0: all stay.
Status apply_retention(const std::string& folder, int64_t keep);

}  // namespace ettin
