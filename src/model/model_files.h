// Where the parts of a model are, from the path that a name was resolved to.
#pragma once

#include <string>
#include <string_view>

#include "ettin/status.h"
#include "formats/composer_checkpoint.h"
#include "model/training_phase.h"

namespace ettin {

struct ModelFiles {
  std::string directory;   // of config.json, tokenizer.json and, without a checkpoint, the weights
  std::string checkpoint;  // the path of a training checkpoint in it; empty: none
  std::string onnx;        // the path of an ONNX file in it that was named itself; empty: none
  std::string dtype = "auto";  // of the weights where they are ONNX files: which of them
  TrainingPhase phase;         // as the names in a checkpoint's path say; as a hub's revision says

  // What the name of a folder in Hugging Face's layout suggests, "step590532" alone: its
  // config.json is believed, but a user should know where the two differ.
  TrainingPhase suggested;

  const std::string& path() const {
    return !checkpoint.empty() ? checkpoint : !onnx.empty() ? onnx : directory;
  }
};

// A folder in Hugging Face's layout; a checkpoint *.pt; an ONNX file *.onnx, beside its config.json
// or in the folder onnx/ beside it; or a folder that holds such and no other
// weights, of which the newest is taken (formats/checkpoint_trail.h). Opens none of the weights.
Result<ModelFiles> find_model_files(const std::string& path);

}  // namespace ettin
