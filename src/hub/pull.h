// A model's files from the hub into the cache, and from the cache as a folder to load.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "hub/cache.h"
#include "hub/model_name.h"
#include "hub/settings.h"
#include "hub/wanted_files.h"

namespace ettin {

struct PullProgress {
  size_t files = 0;
  uint64_t bytes = 0;  // that are there
  uint64_t total = 0;
};

struct PullOptions {
  WantedFiles wanted;
  std::function<void(const PullProgress&)> progress;     // often, while files come
  std::function<void(std::string_view message)> notice;  // seldom: what is about to happen
};

struct PulledModel {
  std::string directory;  // snapshots/COMMIT
  std::string commit;
  size_t files = 0;
  size_t fetched_files = 0;
  uint64_t fetched_bytes = 0;
};

// Asks the hub which commit `name` is now and fetches what the cache lacks of it. Every file is
// checked; a snapshot shows files only when all that were wanted are there. Several processes may
// pull the same model.
Result<PulledModel> pull_model(const ModelName& name, const HubSettings& settings,
                               const PullOptions& options);

// The folder of a model that the cache holds with all that `wanted` asks for; the network is not
// asked. nullopt: something is missing. Offline, only weights and config.json must be there.
std::optional<std::string> find_in_cache(const ModelName& name, const HubSettings& settings,
                                         const WantedFiles& wanted);

}  // namespace ettin
