// config.json of a model that ettin made: what transformers' two classes and ettin read back as the
// same network.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "model/config.h"

namespace ettin {

// "ModernBertForMaskedLM": the class in transformers.
std::string class_name(const Arm& arm, Head head);

// Absent: nothing says it. transformers' decoder wants numbers, and gets 0 for all but eos.
struct TokenIds {
  std::optional<int64_t> bos, eos, cls, sep, pad;
};

// Weights are said to be fp32. A causal window of n keys is local_attention 2n, which is all that
// transformers' decoder knows; so the other arm's window has no place in a decoder's file where the
// two differ.
Json to_config_json(const ModelConfig& config, const TokenIds& ids);

}  // namespace ettin
