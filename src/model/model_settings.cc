#include "model/model_settings.h"

#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "model/checkpoint_config.h"

namespace ettin {
namespace {

constexpr double kAssumedTheta = 160000;  // as the released models have it on every layer

std::string theta_pair(double global, double local) { return fmt::format("{}/{}", global, local); }

bool states_theta(const Json& json) {
  for (const char* key :
       {"rope_parameters", "global_rope_theta", "rope_theta", "local_rope_theta"}) {
    const Json* member = json_member(json, key);
    if (member != nullptr && !member->is_null()) return true;
  }
  return false;
}

// Writes both where transformers of every version looks for them.
void set_thetas(const ModelConfig& config, Json* json) {
  (*json)["global_rope_theta"] = config.global_rope_theta;
  (*json)["local_rope_theta"] = config.local_rope_theta;
  if (!json->contains("rope_parameters") || !(*json)["rope_parameters"].is_object()) return;
  (*json)["rope_parameters"] = {
      {"full_attention", {{"rope_type", "default"}, {"rope_theta", config.global_rope_theta}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", config.local_rope_theta}}}};
}

// A phase that a name says is the last word: config.json is copied from revision to revision.
void apply_phase(const ModelFiles& files, const std::string& stated_by, ModelSettings* settings,
                 std::vector<std::string>* warnings) {
  ModelConfig& config = settings->config;
  const std::optional<Thetas> thetas = phase_thetas(files.phase, config);
  if (!thetas) return;
  const bool same =
      thetas->global == config.global_rope_theta && thetas->local == config.local_rope_theta;
  if (!same && !stated_by.empty()) {
    warnings->push_back(fmt::format(
        "{}: {} says {} and so rope thetas {}, not the {} of {}; --global-rope-theta and "
        "--local-rope-theta override",
        files.path(), files.phase.said_by, files.phase.name(),
        theta_pair(thetas->global, thetas->local),
        theta_pair(config.global_rope_theta, config.local_rope_theta), stated_by));
  }
  config.global_rope_theta = thetas->global;
  config.local_rope_theta = thetas->local;
  config.rope_reason = fmt::format("{}: {}", files.phase.said_by, files.phase.name());
  set_thetas(config, &settings->json);
}

void warn_of_name(const ModelFiles& files, const ModelConfig& config,
                  std::vector<std::string>* warnings) {
  const std::optional<Thetas> thetas = phase_thetas(files.suggested, config);
  if (!thetas || files.phase.known() ||
      (thetas->global == config.global_rope_theta && thetas->local == config.local_rope_theta)) {
    return;
  }
  warnings->push_back(fmt::format(
      "{}: rope thetas are {}, as config.json says; if this is a revision of a published model, as "
      "{} suggests, it was trained with {}: --global-rope-theta, --local-rope-theta",
      files.directory, theta_pair(config.global_rope_theta, config.local_rope_theta),
      files.suggested.said_by, theta_pair(thetas->global, thetas->local)));
}

Status read_checkpoint_settings(const ModelFiles& files, ModelSettings* settings,
                                std::vector<std::string>* warnings,
                                std::vector<std::string>* of_thetas) {
  ETTIN_ASSIGN_OR_RETURN(settings->checkpoint, open_checkpoint(files.checkpoint));
  const Checkpoint& checkpoint = *settings->checkpoint;
  StatedConfig own{checkpoint.config, files.checkpoint + ": integrations.huggingface.model.config"};
  StatedConfig beside{nullptr, join_path(files.directory, "config.json")};
  if (file_exists(beside.where)) {
    ETTIN_ASSIGN_OR_RETURN(beside.json, read_config_json(files.directory));
  }
  ETTIN_ASSIGN_OR_RETURN(settings->json, checkpoint_config(checkpoint.source, own, beside));
  const std::string& where = beside.json.is_null() ? files.checkpoint : beside.where;
  ETTIN_ASSIGN_OR_RETURN(settings->file, parse_hf_config(settings->json, where));
  // The rule for a config.json without thetas is that of transformers, not of Ettin's training.
  std::vector<std::string> of_absent_keys;
  const bool stated = states_theta(settings->json);
  ETTIN_ASSIGN_OR_RETURN(settings->config,
                         resolve_config(settings->file, stated ? warnings : &of_absent_keys));
  std::string stated_by;
  if (stated) {
    stated_by = states_theta(as_hugging_face(beside.json)) ? beside.where : own.where;
    settings->config.rope_reason = stated_by;
  } else {
    settings->config.global_rope_theta = kAssumedTheta;
    settings->config.local_rope_theta = kAssumedTheta;
    settings->config.rope_reason = "assumed: nothing says the training phase";
    if (!files.phase.known()) {
      of_thetas->push_back(fmt::format(
          "{}: nothing says the training phase; rope thetas {} are assumed, as after the "
          "extension, but pre-training ran with 10000/10000: name the phase in the path (step..., "
          "ext..., decay...) or give --global-rope-theta and --local-rope-theta",
          files.checkpoint, theta_pair(kAssumedTheta, kAssumedTheta)));
    }
  }
  set_thetas(settings->config, &settings->json);
  apply_phase(files, stated_by, settings, of_thetas);
  return {};
}

}  // namespace

Result<ModelSettings> read_settings(const ModelFiles& files, std::vector<std::string>* warnings,
                                    const AskedThetas& asked) {
  ModelSettings settings;
  std::vector<std::string> of_thetas;  // they do not matter when both are asked for
  if (files.checkpoint.empty()) {
    ETTIN_ASSIGN_OR_RETURN(settings.json, read_config_json(files.directory));
    const std::string where = join_path(files.directory, "config.json");
    ETTIN_ASSIGN_OR_RETURN(settings.file, parse_hf_config(settings.json, where));
    ETTIN_ASSIGN_OR_RETURN(settings.config, resolve_config(settings.file, warnings));
    apply_phase(files, "config.json", &settings, &of_thetas);
    warn_of_name(files, settings.config, &of_thetas);
  } else {
    ETTIN_RETURN_IF_ERROR(read_checkpoint_settings(files, &settings, warnings, &of_thetas));
  }
  if (!asked.both()) warnings->insert(warnings->end(), of_thetas.begin(), of_thetas.end());
  if (asked.global || asked.local) {
    ETTIN_RETURN_IF_ERROR(override_thetas(asked, &settings.config));
    set_thetas(settings.config, &settings.json);
  }
  return settings;
}

Result<TensorSource> open_weights(const ModelFiles& files, ModelSettings* settings) {
  if (!files.onnx.empty()) return TensorSource::open_file(files.onnx);
  if (files.checkpoint.empty()) return TensorSource::open(files.directory, files.dtype);
  if (settings != nullptr && settings->checkpoint) {
    return std::exchange(settings->checkpoint->source, TensorSource());
  }
  ETTIN_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(files.checkpoint));
  return std::move(checkpoint.source);
}

}  // namespace ettin
