// Everything a folder says about its model, without running it.
#pragma once

#include <string>

#include "base/json.h"
#include "ettin/ettin.h"

namespace ettin {

// An object with the sections model, architecture, attention, rope, tensors, tokenizer, files and
// warnings. Tensors are checked against config.json as Model::load does; `options` as there.
Result<Json> inspect_model(const std::string& directory, const ModelOptions& options);

}  // namespace ettin
