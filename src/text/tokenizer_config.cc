#include "text/tokenizer_config.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"

namespace ettin {
namespace {

// transformers writes int(1e30) for "no limit", an integer beyond 64 bits.
constexpr JsonLimits kLimits{.max_bytes = size_t{16} << 20, .max_depth = 32, .big_integers = true};
constexpr double kLargestLimit = 1e9;  // above: no limit

Result<Json> read_object(const std::string& path) {
  ETTIN_ASSIGN_OR_RETURN(Json object, parse_json_file(path, kLimits));
  if (!object.is_object()) {
    return Status(StatusCode::bad_data, fmt::format("{}: should be a JSON object", path));
  }
  return object;
}

// A special token is a string or an AddedToken object.
Status read_name(const Json& object, std::string_view key, const std::string& path,
                 std::optional<std::string>* name) {
  if (*name) return {};
  const Json* value = json_member(object, key);
  if (value != nullptr && value->is_object()) {
    ETTIN_ASSIGN_OR_RETURN(
        *name, json_get<std::string>(*value, "content", fmt::format("{}: {}", path, key)));
    return {};
  }
  ETTIN_ASSIGN_OR_RETURN(*name, json_find<std::string>(object, key, path));
  return {};
}

Status read_names(const Json& object, const std::string& path, SpecialTokenNames* names) {
  const std::array<std::pair<std::string_view, std::optional<std::string>*>, 7> keys{{
      {"bos_token", &names->bos},
      {"eos_token", &names->eos},
      {"cls_token", &names->cls},
      {"sep_token", &names->sep},
      {"pad_token", &names->pad},
      {"mask_token", &names->mask},
      {"unk_token", &names->unk},
  }};
  for (const auto& [key, name] : keys) ETTIN_RETURN_IF_ERROR(read_name(object, key, path, name));
  return {};
}

Status read_settings(const Json& object, const std::string& path, TokenizerConfig* config) {
  ETTIN_ASSIGN_OR_RETURN(const auto limit, json_find<double>(object, "model_max_length", path));
  if (limit && *limit < kLargestLimit) {
    ETTIN_ASSIGN_OR_RETURN(config->model_max_length,
                           json_find<int64_t>(object, "model_max_length", path));
    if (*config->model_max_length < 1) {
      return Status(StatusCode::bad_data,
                    fmt::format("{}: key \"model_max_length\" is {}, not above 0", path,
                                *config->model_max_length));
    }
  }
  ETTIN_ASSIGN_OR_RETURN(config->add_bos_token, json_find<bool>(object, "add_bos_token", path));
  ETTIN_ASSIGN_OR_RETURN(config->add_eos_token, json_find<bool>(object, "add_eos_token", path));
  ETTIN_ASSIGN_OR_RETURN(config->clean_up_tokenization_spaces,
                         json_find<bool>(object, "clean_up_tokenization_spaces", path));
  return {};
}

}  // namespace

Result<TokenizerConfig> read_tokenizer_config(const std::string& directory) {
  TokenizerConfig config;
  if (const std::string path = join_path(directory, "tokenizer_config.json"); file_exists(path)) {
    ETTIN_ASSIGN_OR_RETURN(const Json object, read_object(path));
    ETTIN_RETURN_IF_ERROR(read_names(object, path, &config.names));
    ETTIN_RETURN_IF_ERROR(read_settings(object, path, &config));
  }
  if (const std::string path = join_path(directory, "special_tokens_map.json"); file_exists(path)) {
    ETTIN_ASSIGN_OR_RETURN(const Json object, read_object(path));
    ETTIN_RETURN_IF_ERROR(read_names(object, path, &config.names));
  }
  return config;
}

}  // namespace ettin
