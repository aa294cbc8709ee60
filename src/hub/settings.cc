#include "hub/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/file.h"

namespace ettin {
namespace {

bool is_on(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(),
                 [](char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

Status read_seconds(const Environment& environment, const char* name, int* seconds) {
  const std::string text = environment(name);
  if (text.empty()) return {};
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > 86400) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{} is \"{:.40}\", which is no number of seconds", name, text),
                  "give 1 to 86400");
  }
  *seconds = value;
  return {};
}

std::string trimmed(std::string text) {
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && blank(text.back())) text.pop_back();
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), blank));
  return text;
}

std::string expanded(const std::string& path, const std::string& home) {
  return path == "~" || path.starts_with("~/") ? home + path.substr(1) : path;
}

Result<std::string> find_token(const Environment& environment, const std::string& hub_home,
                               const std::string& home) {
  std::string from = "HF_TOKEN", token = environment("HF_TOKEN");
  if (is_on(environment("HF_HUB_DISABLE_IMPLICIT_TOKEN")))
    token.clear();
  else {
    if (token.empty()) {
      from = "HUGGING_FACE_HUB_TOKEN";
      token = environment("HUGGING_FACE_HUB_TOKEN");
    }
    if (token.empty()) {
      const std::string named = environment("HF_TOKEN_PATH");
      from = named.empty() ? join_path(hub_home, "token") : expanded(named, home);
      if (file_exists(from)) {
        ETTIN_ASSIGN_OR_RETURN(token, read_file(from, 4096));
      }
    }
  }
  token = trimmed(std::move(token));
  // It becomes a line of a request; a line end in it would begin another.
  if (!std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 127; })) {
    return Status(StatusCode::invalid_argument, fmt::format("{} holds no token", from),
                  "a token is one word, as the hub's settings show it");
  }
  return token;
}

}  // namespace

Result<HubSettings> hub_settings(const Environment& environment) {
  HubSettings settings;
  const auto or_else = [](std::string value, std::string other) {
    return value.empty() ? std::move(other) : std::move(value);
  };
  const std::string home = or_else(environment("HOME"), "/");
  const std::string general =
      expanded(or_else(environment("XDG_CACHE_HOME"), join_path(home, ".cache")), home);
  const std::string hub_home =
      expanded(or_else(environment("HF_HOME"), join_path(general, "huggingface")), home);
  settings.cache = or_else(environment("HF_HUB_CACHE"), environment("HUGGINGFACE_HUB_CACHE"));
  settings.cache = expanded(or_else(settings.cache, join_path(hub_home, "hub")), home);
  settings.endpoint = or_else(environment("HF_ENDPOINT"), "https://huggingface.co");
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  if (!settings.endpoint.starts_with("https://") && !settings.endpoint.starts_with("http://")) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("HF_ENDPOINT is \"{:.200}\", which is no address", settings.endpoint),
                  "give an address that begins with https://");
  }
  settings.offline =
      is_on(or_else(environment("HF_HUB_OFFLINE"), environment("TRANSFORMERS_OFFLINE")));
  ETTIN_RETURN_IF_ERROR(
      read_seconds(environment, "HF_HUB_ETAG_TIMEOUT", &settings.connect_seconds));
  ETTIN_RETURN_IF_ERROR(
      read_seconds(environment, "HF_HUB_DOWNLOAD_TIMEOUT", &settings.stall_seconds));
  ETTIN_ASSIGN_OR_RETURN(settings.token, find_token(environment, hub_home, home));
  return settings;
}

Result<HubSettings> hub_settings() {
  return hub_settings([](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  });
}

}  // namespace ettin
