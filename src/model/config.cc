#include "model/config.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace ettin {
namespace {

constexpr double kPublishedTheta = 160000;
constexpr int64_t kPublishedVocabulary = 50368;
constexpr int64_t kPublishedPositions = 7999;
constexpr int64_t kDefaultLocalAttention = 128;
constexpr int64_t kMostLabels = int64_t{1} << 20;

constexpr std::array<std::pair<std::string_view, Activation>, 8> kActivations{{
    {"gelu", Activation::gelu},
    {"gelu_new", Activation::gelu_tanh},
    {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"silu", Activation::silu},
    {"swish", Activation::silu},
    {"relu", Activation::relu},
    {"tanh", Activation::tanh},
    {"linear", Activation::identity},
}};

Result<Activation> find_activation(const HfConfig& file, std::string_view key,
                                   const std::optional<std::string>& name) {
  if (!name) return Activation::gelu;
  for (const auto& [known, activation] : kActivations) {
    if (known == *name) return activation;
  }
  return Status(StatusCode::unsupported,
                fmt::format("{}: {} \"{}\" is not known", file.where, key, *name),
                "known are gelu, gelu_new, gelu_pytorch_tanh, silu, relu, tanh and linear");
}

// "ModernBertForMaskedLM" and "ModernBertDecoderForCausalLM" to an arm and a head.
Status resolve_kind(const HfConfig& file, ModelConfig* c, std::vector<std::string>* warnings) {
  const bool decoder = file.model_type == "modernbert-decoder";
  c->arm = decoder ? kDecoder : kEncoder;
  if (file.architectures.empty()) {
    c->head = Head::language_model;
    warnings->push_back(
        fmt::format("{}: no \"architectures\"; taken as a language model", file.where));
    return {};
  }
  const std::string_view name = file.architectures[0];
  const std::string_view stem = decoder ? "ModernBertDecoder" : "ModernBert";
  const std::string_view rest =
      name.starts_with(stem) ? name.substr(stem.size()) : std::string_view("?");
  if (rest == (decoder ? "ForCausalLM" : "ForMaskedLM")) {
    c->head = Head::language_model;
  } else if (rest == "ForSequenceClassification") {
    c->head = Head::sequence_classification;
  } else if (rest == "ForTokenClassification" && !decoder) {
    c->head = Head::token_classification;
  } else if (rest == "Model") {
    c->head = Head::none;
  } else {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: architecture \"{}\" does not go with model_type \"{}\"",
                              file.where, name, file.model_type),
                  fmt::format("known are {0}Model, {0}{1}, {0}ForSequenceClassification{2}", stem,
                              decoder ? "ForCausalLM" : "ForMaskedLM",
                              decoder ? "" : ", ModernBertForTokenClassification"));
  }
  return {};
}

Status resolve_layers(const HfConfig& file, ModelConfig* c) {
  if (!file.layer_types.empty()) {
    if (static_cast<int64_t>(file.layer_types.size()) != c->num_layers) {
      return Status(StatusCode::bad_data,
                    fmt::format("{}: layer_types has {} entries for {} layers", file.where,
                                file.layer_types.size(), c->num_layers));
    }
    for (const std::string& type : file.layer_types) {
      if (type != "full_attention" && type != "sliding_attention") {
        return Status(StatusCode::unsupported,
                      fmt::format("{}: layer type \"{}\" is not known", file.where, type),
                      "known are full_attention and sliding_attention");
      }
      c->layer_is_global.push_back(type == "full_attention");
    }
    return {};
  }
  const int64_t every = file.global_attn_every_n_layers.value_or(3);
  for (int64_t i = 0; i < c->num_layers; ++i) c->layer_is_global.push_back(i % every == 0);
  return {};
}

// A decoder's sliding_window counts keys, itself included; local_attention is twice that number.
Status resolve_windows(const HfConfig& file, ModelConfig* c) {
  const int64_t half = file.local_attention.value_or(kDefaultLocalAttention) / 2;
  c->window_each_side = file.local_attention ? half : file.sliding_window.value_or(half);
  c->causal_window_keys = file.sliding_window.value_or(half);
  if (c->causal_window_keys < 1) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: local_attention {} leaves no key to see", file.where,
                              file.local_attention.value_or(kDefaultLocalAttention)),
                  "it should be 2 or more; Ettin has 128");
  }
  return {};
}

void resolve_thetas(const HfConfig& file, ModelConfig* c, std::vector<std::string>* warnings) {
  const auto stated = [&](const std::string& type) -> std::optional<double> {
    const auto found = file.rope_parameters.find(type);
    return found == file.rope_parameters.end() ? std::nullopt : found->second.theta;
  };
  constexpr std::string_view kNested = "rope_parameters", kDefault = "a default";
  std::string_view global = kNested, local = kNested;
  if (const auto theta = stated("full_attention")) {
    c->global_rope_theta = *theta;
  } else {
    global = file.global_rope_theta ? "global_rope_theta"
             : file.rope_theta      ? "rope_theta"
                                    : kDefault;
    c->global_rope_theta =
        file.global_rope_theta.value_or(file.rope_theta.value_or(kPublishedTheta));
  }
  if (const auto theta = stated("sliding_attention")) {
    c->local_rope_theta = *theta;
  } else if (file.has_local_rope_theta) {
    local = "local_rope_theta";
    c->local_rope_theta = file.local_rope_theta.value_or(c->global_rope_theta);
  } else if (c->arm.direction == Direction::bidirectional) {
    local = kDefault;
    c->local_rope_theta = 10000;
  } else {
    local = kDefault;
    c->local_rope_theta = kPublishedTheta;
    warnings->push_back(fmt::format(
        "{}: no local_rope_theta; using {} as transformers 4.54 to 4.57 do (version 5: 10000)",
        file.where, kPublishedTheta));
  }
  c->rope_reason = global == local ? fmt::format("config.json: {}", global)
                                   : fmt::format("config.json: {} and {}", global, local);
}

Status resolve_labels(const HfConfig& file, ModelConfig* c) {
  c->num_labels = file.id2label.empty() ? file.num_labels.value_or(2)
                                        : static_cast<int64_t>(file.id2label.size());
  if (file.num_labels && *file.num_labels != c->num_labels) {
    return Status(StatusCode::bad_data, fmt::format("{}: num_labels is {} and id2label names {}",
                                                    file.where, *file.num_labels, c->num_labels));
  }
  if (c->num_labels < 1 || c->num_labels > kMostLabels) {
    return Status(StatusCode::bad_data, fmt::format("{}: num_labels {} is outside 1 to {}",
                                                    file.where, c->num_labels, kMostLabels));
  }
  for (int64_t i = 0; i < c->num_labels; ++i) {
    const auto found = file.id2label.find(i);
    if (found == file.id2label.end() && !file.id2label.empty()) {
      return Status(StatusCode::bad_data,
                    fmt::format("{}: id2label lacks label {}", file.where, i));
    }
    c->labels.push_back(file.id2label.empty() ? fmt::format("LABEL_{}", i) : found->second);
  }
  c->problem_type = file.problem_type;
  return {};
}

}  // namespace

std::string_view activation_name(Activation a) {
  switch (a) {
    case Activation::identity:
      return "identity";
    case Activation::gelu:
      return "gelu";
    case Activation::gelu_tanh:
      return "gelu_tanh";
    case Activation::silu:
      return "silu";
    case Activation::relu:
      return "relu";
    case Activation::tanh:
      return "tanh";
  }
  return "?";
}

std::string_view head_name(Head head) {
  switch (head) {
    case Head::none:
      return "none";
    case Head::language_model:
      return "language_model";
    case Head::sequence_classification:
      return "sequence_classification";
    case Head::token_classification:
      return "token_classification";
  }
  return "?";
}

Result<ModelConfig> resolve_config(const HfConfig& file, std::vector<std::string>* warnings) {
  ModelConfig c;
  ETTIN_RETURN_IF_ERROR(resolve_kind(file, &c, warnings));
  c.vocab_size = file.vocab_size;
  c.hidden_size = file.hidden_size;
  c.intermediate_size = file.intermediate_size;
  c.num_layers = file.num_hidden_layers;
  c.num_heads = file.num_attention_heads;
  c.max_positions = file.max_position_embeddings;
  if (c.hidden_size % c.num_heads != 0 || c.head_dim() % 2 != 0) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: hidden_size {} does not give {} heads of an even size",
                              file.where, c.hidden_size, c.num_heads));
  }
  ETTIN_ASSIGN_OR_RETURN(c.activation,
                         find_activation(file, "hidden_activation", file.hidden_activation));
  ETTIN_ASSIGN_OR_RETURN(c.classifier_activation, find_activation(file, "classifier_activation",
                                                                  file.classifier_activation));
  c.norm_eps = file.norm_eps.value_or(file.layer_norm_eps.value_or(c.norm_eps));
  c.norm_bias = file.norm_bias.value_or(c.norm_bias);
  c.attention_bias = file.attention_bias.value_or(c.attention_bias);
  c.mlp_bias = file.mlp_bias.value_or(c.mlp_bias);
  c.decoder_bias = file.decoder_bias.value_or(c.decoder_bias);
  c.classifier_bias = file.classifier_bias.value_or(c.classifier_bias);
  c.tie_word_embeddings = file.tie_word_embeddings.value_or(c.tie_word_embeddings);
  c.q8_rotated = file.q8_rotated;
  const std::string pooling = file.classifier_pooling.value_or("cls");
  if (pooling != "cls" && pooling != "mean") {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: classifier_pooling \"{}\" is not known", file.where, pooling),
                  "known are cls and mean");
  }
  c.classifier_pooling = pooling == "cls" ? Pooling::cls : Pooling::mean;
  ETTIN_RETURN_IF_ERROR(resolve_layers(file, &c));
  ETTIN_RETURN_IF_ERROR(resolve_windows(file, &c));
  resolve_thetas(file, &c, warnings);
  ETTIN_RETURN_IF_ERROR(resolve_labels(file, &c));
  return c;
}

Status override_thetas(const AskedThetas& asked, ModelConfig* c) {
  const auto& [global, local] = asked;
  const auto replace = [&](std::string_view name, const std::optional<double>& theta,
                           double* value) -> Status {
    if (!theta) return {};
    if (!(*theta > 0 && *theta < 1e12)) {
      return Status(StatusCode::invalid_argument,
                    fmt::format("{}_rope_theta {} is out of range", name, *theta),
                    "Ettin has 160000 or 10000");
    }
    *value = *theta;
    return {};
  };
  ETTIN_RETURN_IF_ERROR(replace("global", global, &c->global_rope_theta));
  ETTIN_RETURN_IF_ERROR(replace("local", local, &c->local_rope_theta));
  if (global && local) {
    c->rope_reason = "both as asked for";
  } else if (global || local) {
    c->rope_reason =
        fmt::format("{} as asked for; {}", global ? "global" : "local", c->rope_reason);
  }
  return {};
}

Result<ModelConfig> published_config(std::string_view size, Arm arm) {
  struct Published {
    std::string_view name;
    int64_t layers, hidden, intermediate, heads;
  };
  // arXiv 2507.11412, table 1.
  static constexpr Published kSizes[] = {
      {"17m", 7, 256, 384, 4},     {"32m", 10, 384, 576, 6},     {"68m", 19, 512, 768, 8},
      {"150m", 22, 768, 1152, 12}, {"400m", 28, 1024, 2624, 16}, {"1b", 28, 1792, 3840, 28},
  };
  const auto* const found = std::find_if(std::begin(kSizes), std::end(kSizes),
                                         [&](const Published& p) { return p.name == size; });
  if (found == std::end(kSizes)) {
    return Status(StatusCode::invalid_argument, fmt::format("no Ettin model has size \"{}\"", size),
                  "the sizes are 17m, 32m, 68m, 150m, 400m and 1b");
  }
  ModelConfig c;
  c.arm = arm;
  c.vocab_size = kPublishedVocabulary;
  c.hidden_size = found->hidden;
  c.intermediate_size = found->intermediate;
  c.num_layers = found->layers;
  c.num_heads = found->heads;
  c.max_positions = kPublishedPositions;
  c.local_rope_theta = kPublishedTheta;
  for (int64_t i = 0; i < c.num_layers; ++i) c.layer_is_global.push_back(i % 3 == 0);
  c.labels = {"LABEL_0", "LABEL_1"};
  return c;
}

}  // namespace ettin
