// Everything a folder says about its model, without running it.
#pragma once

#include <string>

#include "base/json.h"
#include "ettin/ettin.h"

namespace ettin {

// An object with the sections model, architecture, attention, rope, tensors, tokenizer, files and
// warnings; of a training checkpoint also checkpoint, and of a folder of them trail, oldest first.
// Tensors are checked against config.json as Model::load does; `options` as there.
Result<Json> inspect_model(const std::string& path, const ModelOptions& options);

}  // namespace ettin
