#include "formats/sentence_transformers.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"

namespace ettin {
namespace {

using Kind = SentenceModule::Kind;

constexpr size_t kMaxFileBytes = size_t{16} << 20;
constexpr int64_t kMaxSize = int64_t{1} << 24;
constexpr size_t kMaxModules = 32;
constexpr size_t kMaxPrompts = 1000;

using NamePair = std::pair<std::string_view, std::string_view>;

constexpr std::array<NamePair, 6> kPoolingSwitches{{
    {"pooling_mode_cls_token", "cls"},
    {"pooling_mode_mean_tokens", "mean"},
    {"pooling_mode_lasttoken", "last"},
    {"pooling_mode_weightedmean_tokens", "weighted_mean"},
    {"pooling_mode_max_tokens", ""},  // empty: known, not implemented
    {"pooling_mode_mean_sqrt_len_tokens", ""},
}};
constexpr std::array<NamePair, 4> kPoolingNames{
    {{"cls", "cls"}, {"mean", "mean"}, {"lasttoken", "last"}, {"weightedmean", "weighted_mean"}}};
constexpr std::array<NamePair, 5> kActivations{{{"Identity", "identity"},
                                                {"Tanh", "tanh"},
                                                {"GELU", "gelu"},
                                                {"ReLU", "relu"},
                                                {"SiLU", "silu"}}};

Status bad(std::string_view where, std::string_view why) {
  return Status(StatusCode::bad_data, fmt::format("{}: {}", where, why));
}
Status unsupported(std::string_view where, std::string_view why, std::string_view hint = {}) {
  return Status(StatusCode::unsupported, fmt::format("{}: {}", where, why), std::string(hint));
}

Result<Json> read_object(const std::string& path) {
  JsonLimits limits;
  limits.max_bytes = kMaxFileBytes;
  ETTIN_ASSIGN_OR_RETURN(Json json, parse_json_file(path, limits));
  if (!json.is_object()) {
    return bad(path, fmt::format("should be a JSON object, but is {}", json.type_name()));
  }
  return json;
}

Result<std::optional<int64_t>> find_size(const Json& json, std::string_view key,
                                         std::string_view where) {
  ETTIN_ASSIGN_OR_RETURN(const auto value, json_find<int64_t>(json, key, where));
  if (value && (*value < 1 || *value > kMaxSize)) {
    return bad(where,
               fmt::format("key \"{}\" is {}, but should be 1 to {}", key, *value, kMaxSize));
  }
  return value;
}

Result<int64_t> get_size(const Json& json, std::string_view key, std::string_view where) {
  ETTIN_ASSIGN_OR_RETURN(const auto value, find_size(json, key, where));
  if (!value) return bad(where, fmt::format("key \"{}\" is missing", key));
  return *value;
}

// The class name at the end of a dotted path.
std::string_view last_part(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

// `width` is what the pooled vector has, where the file says so.
Status read_pooling(SentenceModule* module, std::optional<int64_t>* width) {
  const std::string path = join_path(module->where, "config.json");
  ETTIN_ASSIGN_OR_RETURN(const Json json, read_object(path));
  ETTIN_ASSIGN_OR_RETURN(*width, find_size(json, "word_embedding_dimension", path));
  if (!*width) {
    ETTIN_ASSIGN_OR_RETURN(*width, find_size(json, "embedding_dimension", path));
  }
  ETTIN_ASSIGN_OR_RETURN(const auto include, json_find<bool>(json, "include_prompt", path));
  if (include && !*include) {
    return unsupported(path, "\"include_prompt\" is false: pooling without the prompt");
  }
  ETTIN_ASSIGN_OR_RETURN(const auto mode, json_find<std::string>(json, "pooling_mode", path));
  if (mode) {
    for (const auto& [name, ours] : kPoolingNames) {
      if (*mode == name) module->pooling = ours;
    }
    if (module->pooling.empty()) {
      return unsupported(path, fmt::format("\"pooling_mode\" is \"{:.40}\"", *mode),
                         "implemented are cls, mean, lasttoken and weightedmean");
    }
    return {};
  }
  std::vector<NamePair> chosen;
  for (const NamePair& entry : kPoolingSwitches) {
    ETTIN_ASSIGN_OR_RETURN(const auto on, json_find<bool>(json, entry.first, path));
    // The library's own default is the mean.
    if (on.value_or(entry.second == "mean")) chosen.push_back(entry);
  }
  if (chosen.size() != 1) {
    return unsupported(path, fmt::format("{} of the pooling_mode switches are true", chosen.size()),
                       "exactly one pooling mode is implemented");
  }
  if (chosen[0].second.empty()) {
    return unsupported(path, fmt::format("\"{}\" is not implemented", chosen[0].first),
                       "implemented are cls, mean, last token and weighted mean");
  }
  module->pooling = chosen[0].second;
  return {};
}

Status check_weight(const SentenceModule& module, std::string_view name,
                    const std::vector<uint64_t>& shape) {
  const StoredTensor* tensor = module.weights->find(name);
  if (tensor == nullptr) return bad(module.where, fmt::format("tensor \"{}\" is missing", name));
  if (tensor->shape != shape || !dtype_info(tensor->dtype).floating) {
    return bad(module.where, fmt::format("tensor \"{}\" is {} of {}, but should be floating and {}",
                                         name, shape_to_string(tensor->shape),
                                         dtype_name(tensor->dtype), shape_to_string(shape)));
  }
  return {};
}

Status read_dense(SentenceModule* module) {
  const std::string path = join_path(module->where, "config.json");
  ETTIN_ASSIGN_OR_RETURN(const Json json, read_object(path));
  ETTIN_ASSIGN_OR_RETURN(module->in_features, get_size(json, "in_features", path));
  ETTIN_ASSIGN_OR_RETURN(module->out_features, get_size(json, "out_features", path));
  ETTIN_ASSIGN_OR_RETURN(const auto bias, json_find<bool>(json, "bias", path));
  module->bias = bias.value_or(true);
  ETTIN_ASSIGN_OR_RETURN(const auto activation,
                         json_find<std::string>(json, "activation_function", path));
  const std::string name = activation.value_or("torch.nn.modules.activation.Tanh");
  if (name.find('.') == std::string::npos || name.starts_with("torch.nn.")) {
    for (const auto& [theirs, ours] : kActivations) {
      if (last_part(name) == theirs) module->activation = ours;
    }
  }
  if (module->activation.empty()) {
    return unsupported(path, fmt::format("\"activation_function\" is \"{:.80}\"", name),
                       "implemented are Identity, Tanh, GELU, ReLU and SiLU of torch.nn");
  }
  for (const std::string_view key : {"module_input_name", "module_output_name"}) {
    ETTIN_ASSIGN_OR_RETURN(const auto value, json_find<std::string>(json, key, path));
    if (value && *value != "sentence_embedding") {
      return unsupported(path, fmt::format("\"{}\" is \"{:.80}\"", key, *value),
                         "only dense layers on the sentence embedding are implemented");
    }
  }
  ETTIN_ASSIGN_OR_RETURN(module->weights, TensorSource::open(module->where));
  const auto in = static_cast<uint64_t>(module->in_features);
  const auto out = static_cast<uint64_t>(module->out_features);
  ETTIN_RETURN_IF_ERROR(check_weight(*module, "linear.weight", {out, in}));
  return module->bias ? check_weight(*module, "linear.bias", {out}) : Status();
}

Status read_layer_norm(SentenceModule* module) {
  const std::string path = join_path(module->where, "config.json");
  ETTIN_ASSIGN_OR_RETURN(const Json json, read_object(path));
  ETTIN_ASSIGN_OR_RETURN(module->in_features, get_size(json, "dimension", path));
  module->out_features = module->in_features;
  ETTIN_ASSIGN_OR_RETURN(module->weights, TensorSource::open(module->where));
  const auto width = static_cast<uint64_t>(module->in_features);
  ETTIN_RETURN_IF_ERROR(check_weight(*module, "norm.weight", {width}));
  return check_weight(*module, "norm.bias", {width});
}

struct ListedModule {
  std::string_view type;  // last part of the class name
  std::string path;       // folder, may be empty
};

Result<ListedModule> read_listed(const Json& entry, const std::string& where) {
  if (!entry.is_object()) {
    return bad(where, fmt::format("a module should be an object, but is {}", entry.type_name()));
  }
  ETTIN_RETURN_IF_ERROR(json_get<std::string>(entry, "type", where).status());
  const std::string& type = json_member(entry, "type")->get_ref<const std::string&>();
  ListedModule module;
  ETTIN_ASSIGN_OR_RETURN(const auto path, json_find<std::string>(entry, "path", where));
  module.path = path.value_or("");
  if (!module.path.empty() && !is_plain_file_name(module.path)) {
    return bad(where, fmt::format("refused folder name \"{:.80}\"", module.path));
  }
  constexpr std::array<std::string_view, 5> kTypes{"Transformer", "Pooling", "Dense", "LayerNorm",
                                                   "Normalize"};
  module.type = last_part(type);
  const bool ours = type == module.type || type.starts_with("sentence_transformers.");
  if (!ours || std::find(kTypes.begin(), kTypes.end(), module.type) == kTypes.end()) {
    return unsupported(where, fmt::format("a module of the type \"{:.120}\"", type),
                       "implemented are Transformer, Pooling, Dense, LayerNorm and Normalize");
  }
  return module;
}

// Fills in a module after the transformer; `width` follows the vector from module to module.
Status read_module(const std::string& directory, const ListedModule& listed, SentenceModule* module,
                   std::optional<int64_t>* width) {
  module->where = join_path(directory, listed.path);
  if (listed.type == "Normalize") {  // its folder is empty and often absent
    module->kind = Kind::normalize;
    return {};
  }
  ETTIN_ASSIGN_OR_RETURN(module->where, resolve_beneath(directory, listed.path));
  if (listed.type == "Pooling") {
    module->kind = Kind::pooling;
    return read_pooling(module, width);
  }
  module->kind = listed.type == "Dense" ? Kind::dense : Kind::layer_norm;
  ETTIN_RETURN_IF_ERROR(module->kind == Kind::dense ? read_dense(module) : read_layer_norm(module));
  if (*width && **width != module->in_features) {
    return bad(module->where, fmt::format("takes vectors of {}, but the module before gives {}",
                                          module->in_features, **width));
  }
  *width = module->out_features;
  return {};
}

Status read_prompts(const std::string& directory, SentenceModules* out) {
  const std::string path = join_path(directory, "config_sentence_transformers.json");
  if (!file_exists(path)) return {};
  ETTIN_ASSIGN_OR_RETURN(const Json json, read_object(path));
  if (const Json* prompts = json_member(json, "prompts"); prompts && !prompts->is_null()) {
    if (!prompts->is_object() || prompts->size() > kMaxPrompts) {
      return bad(path, fmt::format("key \"prompts\" should be an object of at most {} entries",
                                   kMaxPrompts));
    }
    for (const auto& [name, text] : prompts->items()) {
      if (!text.is_string()) {
        return bad(path, fmt::format("\"prompts\": the text of \"{:.80}\" should be a string, but "
                                     "is {}",
                                     name, text.type_name()));
      }
      out->prompts.emplace_back(name, text.get<std::string>());
    }
  }
  ETTIN_ASSIGN_OR_RETURN(const auto chosen,
                         json_find<std::string>(json, "default_prompt_name", path));
  if (!chosen) return {};
  const bool known = std::any_of(out->prompts.begin(), out->prompts.end(),
                                 [&](const auto& prompt) { return prompt.first == *chosen; });
  if (!known) {
    return bad(path, fmt::format("\"default_prompt_name\" is \"{:.80}\", which \"prompts\" lacks",
                                 *chosen));
  }
  out->default_prompt = *chosen;
  return {};
}

Status read_length(const std::string& directory, SentenceModules* out) {
  const std::string path = join_path(directory, "sentence_bert_config.json");
  if (!file_exists(path)) return {};
  ETTIN_ASSIGN_OR_RETURN(const Json json, read_object(path));
  ETTIN_ASSIGN_OR_RETURN(out->max_seq_length, find_size(json, "max_seq_length", path));
  ETTIN_ASSIGN_OR_RETURN(const auto lower, json_find<bool>(json, "do_lower_case", path));
  if (lower.value_or(false)) return unsupported(path, "\"do_lower_case\" is true");
  return {};
}

}  // namespace

Result<std::optional<SentenceModules>> read_sentence_modules(const std::string& directory) {
  const std::string path = join_path(directory, "modules.json");
  if (!file_exists(path)) return std::optional<SentenceModules>();
  JsonLimits limits;
  limits.max_bytes = kMaxFileBytes;
  ETTIN_ASSIGN_OR_RETURN(const Json json, parse_json_file(path, limits));
  if (!json.is_array() || json.empty() || json.size() > kMaxModules) {
    return bad(path, fmt::format("should be a list of 1 to {} modules", kMaxModules));
  }
  SentenceModules out;
  std::optional<int64_t> width;
  for (size_t i = 0; i < json.size(); ++i) {
    ETTIN_ASSIGN_OR_RETURN(const ListedModule listed, read_listed(json[i], path));
    if ((listed.type == "Transformer") != (i == 0) || (listed.type == "Pooling") != (i == 1)) {
      return unsupported(path, fmt::format("module {} is a {}", i, listed.type),
                         "the order must be Transformer, Pooling, then the others");
    }
    if (i == 0) {
      if (!listed.path.empty()) {
        return unsupported(path,
                           fmt::format("the transformer is in the folder \"{}\"", listed.path),
                           "only a transformer beside modules.json is read");
      }
      continue;
    }
    if (listed.path.empty() && listed.type != "Normalize") {
      return bad(path, fmt::format("module {}, a {}, names no folder", i, listed.type));
    }
    SentenceModule module;
    ETTIN_RETURN_IF_ERROR(read_module(directory, listed, &module, &width));
    out.modules.push_back(std::move(module));
  }
  if (out.modules.empty()) return unsupported(path, "no pooling module after the transformer");
  ETTIN_RETURN_IF_ERROR(read_prompts(directory, &out));
  ETTIN_RETURN_IF_ERROR(read_length(directory, &out));
  return std::optional<SentenceModules>(std::move(out));
}

}  // namespace ettin
