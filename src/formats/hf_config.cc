#include "formats/hf_config.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "tensor/hadamard.h"
#include "tensor/weight_format.h"

namespace ettin {
namespace {

constexpr JsonLimits kLimits{.max_bytes = size_t{16} << 20};
constexpr int64_t kMaxSize = int64_t{1} << 24;  // vocabulary, positions, widths
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxMatrix = int64_t{1} << 40;  // elements of one weight matrix
constexpr size_t kMaxLabels = 1'000'000;
constexpr size_t kMaxEosIds = 64;
constexpr std::array<std::string_view, 2> kModelTypes{"modernbert", "modernbert-decoder"};

// Typed, range-checked reads of one JSON object; messages start with `where`.
class Fields {
 public:
  Fields(const Json& json, std::string_view where) : json_(json), where_(where) {}

  Status bad(std::string_view why) const {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", where_, why));
  }

  Status out_of_range(std::string_view key, std::string_view found, std::string_view range) const {
    return bad(fmt::format("key \"{}\" is {}, but should be {}", key, found, range));
  }

  // An integer; 768.0 is taken as 768, 768.5 is refused.
  Result<std::optional<int64_t>> integer(std::string_view key, int64_t low, int64_t high) const {
    std::optional<int64_t> value;
    const Json* member = json_member(json_, key);
    if (member != nullptr && member->is_number_float()) {
      const double number = member->get<double>();
      if (number != std::trunc(number) || std::abs(number) > 9.0e15) {
        return out_of_range(key, fmt::format("{}", number), "an integer");
      }
      value = static_cast<int64_t>(number);
    } else {
      ETTIN_ASSIGN_OR_RETURN(value, json_find<int64_t>(json_, key, where_));
    }
    if (value && (*value < low || *value > high)) {
      return out_of_range(key, fmt::format("{}", *value), fmt::format("{} to {}", low, high));
    }
    return value;
  }

  Status required(std::string_view key, int64_t high, int64_t* out) const {
    ETTIN_ASSIGN_OR_RETURN(const auto value, integer(key, 1, high));
    if (!value) return bad(fmt::format("key \"{}\" is missing", key));
    *out = *value;
    return {};
  }

  Status integer(std::string_view key, int64_t low, int64_t high,
                 std::optional<int64_t>* out) const {
    ETTIN_ASSIGN_OR_RETURN(*out, integer(key, low, high));
    return {};
  }

  // A finite number with 0 < value <= high.
  Status positive(std::string_view key, double high, std::optional<double>* out) const {
    ETTIN_ASSIGN_OR_RETURN(*out, json_find<double>(json_, key, where_));
    if (*out && !(**out > 0.0 && **out <= high)) {
      return out_of_range(key, fmt::format("{}", **out), fmt::format("above 0, at most {}", high));
    }
    return {};
  }

  template <class T>
  Status optional(std::string_view key, std::optional<T>* out) const {
    ETTIN_ASSIGN_OR_RETURN(*out, json_find<T>(json_, key, where_));
    return {};
  }

  Status strings(std::string_view key, size_t limit, std::vector<std::string>* out) const {
    const Json* member = json_member(json_, key);
    if (member == nullptr || member->is_null()) return {};
    if (!member->is_array()) {
      return out_of_range(key, member->type_name(), "a list of strings");
    }
    if (member->size() > limit) {
      return out_of_range(key, fmt::format("a list of {}", member->size()),
                          fmt::format("a list of at most {}", limit));
    }
    for (const Json& item : *member) {
      if (!item.is_string()) {
        return out_of_range(key, fmt::format("a list with {}", item.type_name()),
                            "a list of strings");
      }
      out->push_back(item.get<std::string>());
    }
    return {};
  }

  // "eos_token_id": an integer or a list of integers.
  Status token_ids(std::string_view key, std::vector<int64_t>* out) const {
    const Json* member = json_member(json_, key);
    if (member == nullptr || member->is_null()) return {};
    if (!member->is_array()) {
      ETTIN_ASSIGN_OR_RETURN(const auto id, integer(key, 0, kMaxSize));
      if (id) out->push_back(*id);
      return {};
    }
    if (member->size() > kMaxEosIds) {
      return out_of_range(key, fmt::format("a list of {}", member->size()),
                          fmt::format("a list of at most {}", kMaxEosIds));
    }
    for (const Json& item : *member) {
      if (!item.is_number_unsigned() || item.get<uint64_t>() > static_cast<uint64_t>(kMaxSize)) {
        return out_of_range(key, fmt::format("a list with {:.40}", dump_json(item)),
                            fmt::format("a list of integers from 0 to {}", kMaxSize));
      }
      out->push_back(item.get<int64_t>());
    }
    return {};
  }

  const Json& json() const { return json_; }
  std::string_view where() const { return where_; }

 private:
  const Json& json_;
  std::string_view where_;
};

Status check_rope_type(const Json& entry, std::string_view where) {
  for (const std::string_view key : {"rope_type", "type"}) {
    ETTIN_ASSIGN_OR_RETURN(const auto type, json_find<std::string>(entry, key, where));
    if (type && *type != "default") {
      return Status(StatusCode::unsupported,
                    fmt::format("{}: \"{}\" is \"{:.40}\"", where, key, *type),
                    "only rotary embeddings of the type \"default\" are implemented");
    }
  }
  return {};
}

Status read_rope_entry(const Json& json, std::string_view where, HfRope* out) {
  if (!json.is_object()) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: should be an object, but is {}", where, json.type_name()));
  }
  ETTIN_RETURN_IF_ERROR(check_rope_type(json, where));
  return Fields(json, where).positive("rope_theta", 1e12, &out->theta);
}

// "rope_parameters": one object per layer type, or one object for every layer.
Status read_rope(const Fields& fields, HfConfig* config) {
  const std::string scaling = fmt::format("{}: \"rope_scaling\"", fields.where());
  if (const Json* member = json_member(fields.json(), "rope_scaling");
      member != nullptr && !member->is_null()) {
    if (!member->is_object()) {
      return Status(StatusCode::bad_data,
                    fmt::format("{} should be an object, but is {}", scaling, member->type_name()));
    }
    ETTIN_RETURN_IF_ERROR(check_rope_type(*member, scaling));
  }
  const Json* member = json_member(fields.json(), "rope_parameters");
  if (member == nullptr || member->is_null()) return {};
  const std::string where = fmt::format("{}: \"rope_parameters\"", fields.where());
  if (!member->is_object()) {
    return Status(StatusCode::bad_data,
                  fmt::format("{} should be an object, but is {}", where, member->type_name()));
  }
  bool nested = false;
  for (const std::string_view type : {"full_attention", "sliding_attention"}) {
    const Json* entry = json_member(*member, type);
    if (entry == nullptr || entry->is_null()) continue;
    nested = true;
    HfRope rope;
    ETTIN_RETURN_IF_ERROR(read_rope_entry(*entry, fmt::format("{}.{}", where, type), &rope));
    config->rope_parameters[std::string(type)] = rope;
  }
  if (nested) return {};
  HfRope rope;
  ETTIN_RETURN_IF_ERROR(read_rope_entry(*member, where, &rope));
  if (!rope.theta) return {};
  config->rope_parameters["full_attention"] = rope;
  config->rope_parameters["sliding_attention"] = rope;
  return {};
}

Status read_labels(const Fields& fields, HfConfig* config) {
  ETTIN_RETURN_IF_ERROR(
      fields.integer("num_labels", 1, static_cast<int64_t>(kMaxLabels), &config->num_labels));
  const Json* member = json_member(fields.json(), "id2label");
  if (member == nullptr || member->is_null()) return {};
  if (!member->is_object()) {
    return fields.out_of_range("id2label", member->type_name(), "an object");
  }
  if (member->size() > kMaxLabels) {
    return fields.out_of_range("id2label", fmt::format("{} entries long", member->size()),
                               fmt::format("at most {}", kMaxLabels));
  }
  for (const auto& [key, value] : member->items()) {
    int64_t id = -1;
    const char* end = key.data() + key.size();
    const auto parsed = std::from_chars(key.data(), end, id);
    if (parsed.ec != std::errc() || parsed.ptr != end || id < 0 ||
        id >= static_cast<int64_t>(kMaxLabels)) {
      return fields.bad(
          fmt::format("\"id2label\" has the key \"{:.40}\", which is not an index", key));
    }
    if (!value.is_string()) {
      return fields.bad(fmt::format("\"id2label\": the label of {} should be a string, but is {}",
                                    id, value.type_name()));
    }
    if (!config->id2label.emplace(id, value.get<std::string>()).second) {
      return fields.bad(fmt::format("\"id2label\" names the index {} twice", id));
    }
  }
  if (config->num_labels && !config->id2label.empty() &&
      static_cast<uint64_t>(*config->num_labels) != config->id2label.size()) {
    return fields.bad(fmt::format("\"num_labels\" is {}, but \"id2label\" has {} entries",
                                  *config->num_labels, config->id2label.size()));
  }
  if (!config->id2label.empty() &&
      config->id2label.rbegin()->first + 1 != static_cast<int64_t>(config->id2label.size())) {
    return fields.bad(fmt::format("\"id2label\" has {} entries, but an index {}",
                                  config->id2label.size(), config->id2label.rbegin()->first));
  }
  return {};
}

Status read_sizes(const Fields& fields, HfConfig* config) {
  ETTIN_RETURN_IF_ERROR(fields.required("vocab_size", kMaxSize, &config->vocab_size));
  ETTIN_RETURN_IF_ERROR(fields.required("hidden_size", kMaxSize, &config->hidden_size));
  ETTIN_RETURN_IF_ERROR(fields.required("intermediate_size", kMaxSize, &config->intermediate_size));
  ETTIN_RETURN_IF_ERROR(
      fields.required("num_hidden_layers", kMaxLayers, &config->num_hidden_layers));
  ETTIN_RETURN_IF_ERROR(
      fields.required("num_attention_heads", kMaxSize, &config->num_attention_heads));
  ETTIN_RETURN_IF_ERROR(
      fields.required("max_position_embeddings", kMaxSize, &config->max_position_embeddings));
  const int64_t hidden = config->hidden_size;
  const int64_t heads = config->num_attention_heads;
  if (hidden % heads != 0) {
    return fields.bad(fmt::format(
        "\"hidden_size\" {} is not a multiple of \"num_attention_heads\" {}", hidden, heads));
  }
  if ((hidden / heads) % 2 != 0) {
    return fields.bad(
        fmt::format("\"hidden_size\" {} over \"num_attention_heads\" {} is a head of "
                    "{}: rotary embeddings need an even size",
                    hidden, heads, hidden / heads));
  }
  // Each size is at most 2^24, so these products fit.
  const std::array<std::pair<std::string_view, int64_t>, 3> matrices{{
      {"vocab_size * hidden_size", config->vocab_size * hidden},
      {"3 * hidden_size * hidden_size", 3 * hidden * hidden},
      {"2 * intermediate_size * hidden_size", 2 * config->intermediate_size * hidden},
  }};
  for (const auto& [what, elements] : matrices) {
    if (elements > kMaxMatrix) {
      return Status(
          StatusCode::resource_limit,
          fmt::format("{}: {} is {}; the limit is {}", fields.where(), what, elements, kMaxMatrix));
    }
  }
  return {};
}

Status read_layers(const Fields& fields, HfConfig* config) {
  ETTIN_RETURN_IF_ERROR(fields.integer("global_attn_every_n_layers", 1, kMaxLayers,
                                       &config->global_attn_every_n_layers));
  ETTIN_RETURN_IF_ERROR(fields.integer("local_attention", 1, kMaxSize, &config->local_attention));
  ETTIN_RETURN_IF_ERROR(fields.integer("sliding_window", 1, kMaxSize, &config->sliding_window));
  ETTIN_RETURN_IF_ERROR(
      fields.strings("layer_types", static_cast<size_t>(kMaxLayers), &config->layer_types));
  for (const std::string& type : config->layer_types) {
    if (type != "full_attention" && type != "sliding_attention") {
      return fields.out_of_range("layer_types", fmt::format("a list with \"{:.40}\"", type),
                                 "a list of \"full_attention\" and \"sliding_attention\"");
    }
  }
  const size_t layers = static_cast<size_t>(config->num_hidden_layers);
  if (!config->layer_types.empty() && config->layer_types.size() != layers) {
    return fields.bad(fmt::format("\"layer_types\" has {} entries, but \"num_hidden_layers\" is {}",
                                  config->layer_types.size(), layers));
  }
  ETTIN_RETURN_IF_ERROR(fields.positive("global_rope_theta", 1e12, &config->global_rope_theta));
  ETTIN_RETURN_IF_ERROR(fields.positive("rope_theta", 1e12, &config->rope_theta));
  config->has_local_rope_theta = json_member(fields.json(), "local_rope_theta") != nullptr;
  ETTIN_RETURN_IF_ERROR(fields.positive("local_rope_theta", 1e12, &config->local_rope_theta));
  return read_rope(fields, config);
}

Status read_switches(const Fields& fields, HfConfig* config) {
  ETTIN_RETURN_IF_ERROR(fields.optional("hidden_activation", &config->hidden_activation));
  ETTIN_RETURN_IF_ERROR(fields.optional("classifier_activation", &config->classifier_activation));
  ETTIN_RETURN_IF_ERROR(fields.optional("classifier_pooling", &config->classifier_pooling));
  ETTIN_RETURN_IF_ERROR(fields.positive("norm_eps", 1.0, &config->norm_eps));
  ETTIN_RETURN_IF_ERROR(fields.positive("layer_norm_eps", 1.0, &config->layer_norm_eps));
  ETTIN_RETURN_IF_ERROR(fields.optional("norm_bias", &config->norm_bias));
  ETTIN_RETURN_IF_ERROR(fields.optional("attention_bias", &config->attention_bias));
  ETTIN_RETURN_IF_ERROR(fields.optional("mlp_bias", &config->mlp_bias));
  ETTIN_RETURN_IF_ERROR(fields.optional("decoder_bias", &config->decoder_bias));
  ETTIN_RETURN_IF_ERROR(fields.optional("classifier_bias", &config->classifier_bias));
  return fields.optional("tie_word_embeddings", &config->tie_word_embeddings);
}

Status read_tokens(const Fields& fields, HfConfig* config) {
  ETTIN_RETURN_IF_ERROR(fields.integer("pad_token_id", 0, kMaxSize, &config->pad_token_id));
  ETTIN_RETURN_IF_ERROR(fields.integer("bos_token_id", 0, kMaxSize, &config->bos_token_id));
  ETTIN_RETURN_IF_ERROR(fields.integer("cls_token_id", 0, kMaxSize, &config->cls_token_id));
  ETTIN_RETURN_IF_ERROR(fields.integer("sep_token_id", 0, kMaxSize, &config->sep_token_id));
  return fields.token_ids("eos_token_id", &config->eos_token_ids);
}

// "quantization_config" as `ettin quantize` writes it. One of others is left to the tensors.
Status read_quantization(const Fields& fields, HfConfig* config) {
  const Json* member = json_member(fields.json(), "quantization_config");
  if (member == nullptr || member->is_null()) return {};
  const std::string where = fmt::format("{}: \"quantization_config\"", fields.where());
  if (!member->is_object()) return fields.bad("\"quantization_config\" should be an object");
  ETTIN_ASSIGN_OR_RETURN(const auto method, json_find<std::string>(*member, "quant_method", where));
  if (method != "ettin") return {};
  ETTIN_ASSIGN_OR_RETURN(const auto name, json_get<std::string>(*member, "format", where));
  ETTIN_ASSIGN_OR_RETURN(const auto rotation, json_find<int64_t>(*member, "rotation", where));
  const bool q8 = name == format_name(WeightFormat::q8);
  const bool known = q8 || name == format_name(WeightFormat::q4);
  if (known && rotation.value_or(q8 ? 0 : kRotation) == kRotation) {
    config->q8_rotated = rotation.has_value();
    return {};
  }
  return Status(StatusCode::unsupported,
                known ? fmt::format("{}: \"rotation\" is {}, but should be {}", where,
                                    rotation ? std::to_string(*rotation) : "missing", kRotation)
                      : fmt::format("{}: \"format\" is \"{:.40}\"", where, name),
                "quantise the original again with `ettin quantize`");
}

}  // namespace

Result<HfConfig> parse_hf_config(const Json& json, std::string_view where) {
  HfConfig config;
  config.where = std::string(where);
  const Fields fields(json, config.where);
  if (!json.is_object()) {
    return fields.bad(fmt::format("should be a JSON object, but is {}", json.type_name()));
  }
  ETTIN_ASSIGN_OR_RETURN(config.model_type, json_get<std::string>(json, "model_type", where));
  if (config.model_type != kModelTypes[0] && config.model_type != kModelTypes[1]) {
    return Status(
        StatusCode::unsupported,
        fmt::format("{}: \"model_type\" is \"{:.80}\"", where, config.model_type),
        fmt::format("the supported types are \"{}\" and \"{}\"", kModelTypes[0], kModelTypes[1]));
  }
  ETTIN_RETURN_IF_ERROR(fields.strings("architectures", 16, &config.architectures));
  ETTIN_RETURN_IF_ERROR(read_sizes(fields, &config));
  ETTIN_RETURN_IF_ERROR(read_switches(fields, &config));
  ETTIN_RETURN_IF_ERROR(read_layers(fields, &config));
  ETTIN_RETURN_IF_ERROR(read_labels(fields, &config));
  std::optional<std::string> problem_type;
  ETTIN_RETURN_IF_ERROR(fields.optional("problem_type", &problem_type));
  config.problem_type = problem_type.value_or("");
  ETTIN_RETURN_IF_ERROR(read_tokens(fields, &config));
  ETTIN_RETURN_IF_ERROR(read_quantization(fields, &config));
  return config;
}

Result<Json> read_config_json(const std::string& directory) {
  return parse_json_file(join_path(directory, "config.json"), kLimits);
}

Result<HfConfig> read_hf_config(const std::string& directory) {
  ETTIN_ASSIGN_OR_RETURN(const Json json, read_config_json(directory));
  return parse_hf_config(json, join_path(directory, "config.json"));
}

Result<std::optional<GenerationConfig>> read_generation_config(const std::string& directory) {
  const std::string path = join_path(directory, "generation_config.json");
  if (!file_exists(path)) return std::optional<GenerationConfig>();
  ETTIN_ASSIGN_OR_RETURN(const Json json, parse_json_file(path, kLimits));
  const Fields fields(json, path);
  if (!json.is_object()) {
    return fields.bad(fmt::format("should be a JSON object, but is {}", json.type_name()));
  }
  GenerationConfig config;
  ETTIN_RETURN_IF_ERROR(fields.integer("bos_token_id", 0, kMaxSize, &config.bos_token_id));
  ETTIN_RETURN_IF_ERROR(fields.integer("pad_token_id", 0, kMaxSize, &config.pad_token_id));
  ETTIN_RETURN_IF_ERROR(fields.token_ids("eos_token_id", &config.eos_token_ids));
  return std::optional<GenerationConfig>(std::move(config));
}

}  // namespace ettin
