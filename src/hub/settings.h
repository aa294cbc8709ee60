// Where the hub and its cache are, from the variables that Python's huggingface_hub reads.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ettin/status.h"

namespace ettin {

struct HubSettings {
  std::string cache;         // HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub
  std::string endpoint;      // HF_ENDPOINT, without a slash at the end
  std::string token;         // HF_TOKEN, else the file HF_HOME/token; may be empty
  bool offline = false;      // HF_HUB_OFFLINE
  int connect_seconds = 10;  // HF_HUB_ETAG_TIMEOUT: until a server answers
  int stall_seconds = 10;    // HF_HUB_DOWNLOAD_TIMEOUT: without a byte
};

// An unset variable is the empty string.
using Environment = std::function<std::string(const char* name)>;
Result<HubSettings> hub_settings(const Environment& environment);
Result<HubSettings> hub_settings();  // of this process

}  // namespace ettin
