// From what a user writes for a model to the folder that holds it, or to a training checkpoint.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ettin/ettin.h"
#include "hub/pull.h"

namespace ettin {

struct ResolveOptions {
  PullOptions pull;
  bool offline = false;  // as HF_HUB_OFFLINE
  // Names that are no model of the hub, for hints about misspelt ones.
  std::vector<std::string_view> also_known;
};

// What is on this machine wins (infer/locate_model.h); then a name on the hub, from the cache where
// it is there, else fetched.
Result<std::string> resolve_model(const std::string& model, const ResolveOptions& options);

// For Model::load: what `options` need, with notices to the log.
ResolveOptions resolve_options(const ModelOptions& options);

}  // namespace ettin
