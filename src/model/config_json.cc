#include "model/config_json.h"

#include <array>
#include <utility>

namespace ettin {
namespace {

std::string_view transformers_name(Activation activation) {
  if (activation == Activation::gelu_tanh) return "gelu_pytorch_tanh";
  if (activation == Activation::identity) return "linear";
  return activation_name(activation);
}

// n where layer i is global if and only if i % n == 0; 3, Ettin's, where that is one of several.
std::optional<int64_t> global_every(const ModelConfig& config) {
  const auto fits = [&](int64_t n) {
    for (int64_t i = 0; i < config.num_layers; ++i) {
      if (config.layer_is_global[static_cast<size_t>(i)] != (i % n == 0)) return false;
    }
    return true;
  };
  if (fits(3)) return 3;
  for (int64_t n = 1; n <= config.num_layers; ++n) {
    if (fits(n)) return n;
  }
  return std::nullopt;
}

void add_layers(const ModelConfig& config, Json* json) {
  const bool causal = config.arm.direction == Direction::causal;
  (*json)["local_attention"] = 2 * (causal ? config.causal_window_keys : config.window_each_side);
  if (const auto every = global_every(config)) {
    (*json)["global_attn_every_n_layers"] = *every;
  } else {
    Json types = Json::array();
    for (const bool global : config.layer_is_global) {
      types.push_back(global ? "full_attention" : "sliding_attention");
    }
    (*json)["layer_types"] = std::move(types);
  }
  (*json)["global_rope_theta"] = config.global_rope_theta;
  (*json)["local_rope_theta"] = config.local_rope_theta;
}

void add_labels(const ModelConfig& config, Json* json) {
  if (config.head != Head::sequence_classification && config.head != Head::token_classification) {
    return;
  }
  Json names = Json::object(), numbers = Json::object();
  for (size_t i = 0; i < config.labels.size(); ++i) {
    names[std::to_string(i)] = config.labels[i];
    numbers[config.labels[i]] = i;
  }
  (*json)["id2label"] = std::move(names);
  (*json)["label2id"] = std::move(numbers);
  if (!config.problem_type.empty()) (*json)["problem_type"] = config.problem_type;
}

}  // namespace

std::string class_name(const Arm& arm, Head head) {
  const bool causal = arm.direction == Direction::causal;
  const std::string family = causal ? "ModernBertDecoder" : "ModernBert";
  switch (head) {
    case Head::none:
      break;
    case Head::language_model:
      return family + (causal ? "ForCausalLM" : "ForMaskedLM");
    case Head::sequence_classification:
      return family + "ForSequenceClassification";
    case Head::token_classification:
      return family + "ForTokenClassification";
  }
  return family + "Model";
}

Json to_config_json(const ModelConfig& config, const TokenIds& ids) {
  const bool causal = config.arm.direction == Direction::causal;
  Json json = {
      {"architectures", Json::array({class_name(config.arm, config.head)})},
      {"model_type", causal ? "modernbert-decoder" : "modernbert"},
      {"vocab_size", config.vocab_size},
      {"hidden_size", config.hidden_size},
      {"intermediate_size", config.intermediate_size},
      {"num_hidden_layers", config.num_layers},
      {"num_attention_heads", config.num_heads},
      {"hidden_activation", transformers_name(config.activation)},
      {"max_position_embeddings", config.max_positions},
      {"norm_eps", config.norm_eps},
      {"norm_bias", config.norm_bias},
      {"attention_bias", config.attention_bias},
      {"mlp_bias", config.mlp_bias},
      {"decoder_bias", config.decoder_bias},
      {"classifier_bias", config.classifier_bias},
      {"classifier_activation", transformers_name(config.classifier_activation)},
      {"tie_word_embeddings", config.tie_word_embeddings},
  };
  if (!causal) {
    json["classifier_pooling"] = config.classifier_pooling == Pooling::cls ? "cls" : "mean";
  }
  add_layers(config, &json);
  for (const char* key :
       {"attention_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout"}) {
    json[key] = 0.0;
  }
  json["initializer_range"] = 0.02;
  json["initializer_cutoff_factor"] = 2.0;
  const std::array<std::pair<const char*, std::optional<int64_t>>, 5> tokens{
      {{"bos_token_id", ids.bos},
       {"eos_token_id", ids.eos},
       {"cls_token_id", ids.cls},
       {"sep_token_id", ids.sep},
       {"pad_token_id", ids.pad}}};
  for (const auto& [key, id] : tokens) {
    const bool number = causal && key != tokens[1].first;
    json[key] = id ? Json(*id) : number ? Json(0) : Json();
  }
  add_labels(config, &json);
  json["torch_dtype"] = "float32";
  return json;
}

}  // namespace ettin
