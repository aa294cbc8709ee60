// generation_config.json of a folder that is being written.
#pragma once

#include <string>

#include "base/json.h"
#include "ettin/status.h"
#include "model/config.h"

namespace ettin {

// Where the small files of a model were copied: a causal language model has one, made from its
// config.json where none was copied; no other model has one.
Status finish_generation_config(const std::string& directory, const Json& config, const Arm& arm,
                                Head head);

}  // namespace ettin
