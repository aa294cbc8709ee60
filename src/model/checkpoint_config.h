// A config.json for weights that have none: the shape as the tensors have it, the rest as the files
// say, else as Ettin's training had it.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "ettin/status.h"
#include "formats/tensor_source.h"

namespace ettin {

// A config in either spelling; null: there is none.
struct StatedConfig {
  Json json;
  std::string where;  // for messages
};

// The thetas of a training config in Hugging Face's spelling; others as they are.
Json as_hugging_face(const Json& json);

// What `beside` (config.json beside the weights) says wins over `own` (in the checkpoint), and both
// over defaults; where either contradicts the tensors, the error names it and them. Tensors have
// Hugging Face's names. Rope thetas are in the result only where one of the two states them.
Result<Json> checkpoint_config(const TensorSource& source, const StatedConfig& own,
                               const StatedConfig& beside);

}  // namespace ettin
