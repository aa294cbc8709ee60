#include "infer/convert.h"

#include <array>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/file.h"
#include "base/json.h"
#include "infer/generation_config.h"
#include "infer/locate_model.h"
#include "infer/new_folder.h"
#include "model/model_folder.h"
#include "model/save_floating.h"
#include "text/tokenizer.h"

namespace ettin {
namespace {

std::string_view torch_name(Dtype dtype) {
  return dtype == Dtype::f16 ? "float16" : dtype == Dtype::bf16 ? "bfloat16" : "float32";
}

Dtype own_dtype(const ModelFolder& folder) {
  std::set<Dtype> found;
  for (const StoredTensor& t : folder.source.tensors()) found.insert(t.dtype);
  const Dtype one = found.size() == 1 ? *found.begin() : Dtype::f32;
  return one == Dtype::f16 || one == Dtype::bf16 ? one : Dtype::f32;
}

Result<std::string> architecture(const Arm& arm, Head head) {
  const bool causal = arm.direction == Direction::causal;
  const std::string family = causal ? "ModernBertDecoder" : "ModernBert";
  switch (head) {
    case Head::none:
      return family + "Model";
    case Head::language_model:
      return family + (causal ? "ForCausalLM" : "ForMaskedLM");
    case Head::sequence_classification:
    case Head::token_classification:
      break;
  }
  return Status(
      StatusCode::unsupported,
      fmt::format("a model with the head {} cannot change its kind", head_name(head)),
      "the two kinds read labels at different tokens: convert the model it was made from");
}

// What the two classes default to differently is written out.
Status change_arm(const ModelConfig& config, const Arm& arm, Json* file) {
  ETTIN_ASSIGN_OR_RETURN(const std::string name, architecture(arm, config.head));
  const bool causal = arm.direction == Direction::causal;
  Json& json = *file;
  json["architectures"] = {name};
  json["model_type"] = causal ? "modernbert-decoder" : "modernbert";
  if (!json.contains("rope_parameters")) {
    json["global_rope_theta"] = config.global_rope_theta;
    json["local_rope_theta"] = config.local_rope_theta;
  }
  json.erase("sliding_window");
  json["local_attention"] = 2 * config.window_each_side;
  if (json.contains("causal_mask")) json["causal_mask"] = causal;
  return {};
}

// Ids of special tokens that only a tokenizer knows. transformers' decoder wants numbers.
Status add_token_ids(const ModelFiles& files, const Arm& arm, Json* json,
                     std::vector<std::string>* warnings) {
  std::shared_ptr<const Tokenizer> tokenizer;
  if (file_exists(join_path(files.directory, "tokenizer.json"))) {
    ETTIN_ASSIGN_OR_RETURN(tokenizer, Tokenizer::load(files.directory));
  }
  using Id = std::optional<int32_t> (Tokenizer::*)() const;
  constexpr std::array<std::pair<const char*, Id>, 5> kIds{{{"bos_token_id", &Tokenizer::bos_id},
                                                            {"eos_token_id", &Tokenizer::eos_id},
                                                            {"cls_token_id", &Tokenizer::cls_id},
                                                            {"sep_token_id", &Tokenizer::sep_id},
                                                            {"pad_token_id", &Tokenizer::pad_id}}};
  std::vector<std::string> unknown;
  for (const auto& [key, id_of] : kIds) {
    if (json->contains(key) && !(*json)[key].is_null()) continue;
    const std::optional<int32_t> id = tokenizer ? (*tokenizer.*id_of)() : std::nullopt;
    (*json)[key] = id ? Json(*id) : Json();
    if (id || arm.direction != Direction::causal || key == std::string_view("eos_token_id")) {
      continue;
    }
    (*json)[key] = 0;
    unknown.emplace_back(key);
  }
  if (!unknown.empty()) {
    warnings->push_back(fmt::format("{}: no tokenizer says {}; config.json has 0 for them",
                                    files.path(), fmt::join(unknown, ", ")));
  }
  return {};
}

Status write_config(Json json, const NewFolder& folder, const ModelConfig& config, const Arm& arm,
                    Dtype dtype) {
  json.erase("quantization_config");
  json[json.contains("dtype") ? "dtype" : "torch_dtype"] = torch_name(dtype);
  if (arm != config.arm) ETTIN_RETURN_IF_ERROR(change_arm(config, arm, &json));
  ETTIN_RETURN_IF_ERROR(
      write_file_atomic(join_path(folder.path(), "config.json"), dump_json(json, 2) + "\n"));
  return finish_generation_config(folder.path(), json, arm, config.head);
}

}  // namespace

Status convert_folder(const std::string& from, const std::string& to, const ConvertOptions& options,
                      std::vector<std::string>* warnings) {
  ETTIN_ASSIGN_OR_RETURN(const ModelFiles files, locate_model(from));
  ETTIN_ASSIGN_OR_RETURN(NewFolder folder, NewFolder::create(files.directory, to, options.force));
  ETTIN_ASSIGN_OR_RETURN(ModelFolder source, read_model_folder(files, warnings, options.thetas));
  FloatingSave how;
  how.dtype = options.dtype.value_or(own_dtype(source));
  how.arm = options.arm.value_or(source.config.arm);
  how.shard_bytes = options.shard_bytes;
  const ModelConfig& config = source.config;
  if (how.arm != config.arm && config.arm == kDecoder &&
      config.causal_window_keys != config.window_each_side) {
    warnings->push_back(
        fmt::format("{}: its local layers see {} keys, which an encoder's config.json "
                    "has no place for; back as a decoder they see {}",
                    from, config.causal_window_keys, config.window_each_side));
  }
  if (!files.checkpoint.empty()) {
    ETTIN_RETURN_IF_ERROR(add_token_ids(files, how.arm, &source.settings, warnings));
  }
  ETTIN_RETURN_IF_ERROR(folder.copy_small_files());
  ETTIN_RETURN_IF_ERROR(write_config(source.settings, folder, source.config, how.arm, how.dtype));
  ETTIN_RETURN_IF_ERROR(save_floating(source.config, source.plan, how, folder.path(), from));
  return folder.move_to_target();
}

}  // namespace ettin
