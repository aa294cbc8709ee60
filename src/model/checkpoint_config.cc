#include "model/checkpoint_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace ettin {
namespace {

constexpr std::string_view kEncoderType = "modernbert", kDecoderType = "modernbert-decoder";
constexpr int64_t kHeadSize = 64;            // of every published size
constexpr int64_t kEttinVocabulary = 50368;  // fine-tunes add tokens at its end
constexpr std::array<std::pair<std::string_view, int64_t>, 5> kSpecialTokens{{
    {"bos_token_id", 50281},
    {"eos_token_id", 50282},
    {"cls_token_id", 50281},
    {"sep_token_id", 50282},
    {"pad_token_id", 50283},
}};

// Keys of a training config that mean something here; it has a hundred more.
constexpr std::array<std::string_view, 22> kTaken{{
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "hidden_activation",
    "norm_eps",
    "classifier_activation",
    "classifier_pooling",
    "global_attn_every_n_layers",
    "local_attention",
    "sliding_window",
    "layer_types",
    "rope_parameters",
    "global_rope_theta",
    "local_rope_theta",
    "id2label",
    "problem_type",
    "num_labels",
    "tie_word_embeddings",
}};

// The tensors decide these: a config may only agree.
constexpr std::array<std::string_view, 10> kOfTensors{{
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "norm_bias",
    "attention_bias",
    "mlp_bias",
    "decoder_bias",
    "classifier_bias",
    "num_labels",
}};

bool is_type(const Json& json, std::string_view type) {
  const Json* member = json_member(json, "model_type");
  return member != nullptr && member->is_string() && member->get_ref<const std::string&>() == type;
}

class Shape {
 public:
  explicit Shape(const TensorSource& source) : source_(source) {
    if (source.find("embeddings.tok_embeddings.weight") == nullptr) prefix_ = "model.";
  }

  Result<Json> read() {
    ETTIN_ASSIGN_OR_RETURN(const StoredTensor* const embedding,
                           matrix("embeddings.tok_embeddings.weight"));
    ETTIN_ASSIGN_OR_RETURN(const StoredTensor* const mlp, matrix("layers.0.mlp.Wi.weight"));
    const std::string type = kind();
    const bool decoder = type == kDecoderType;
    Json json = Json::object();
    if (!type.empty()) json["model_type"] = type;
    json["vocab_size"] = embedding->shape[0];
    json["hidden_size"] = embedding->shape[1];
    json["intermediate_size"] = mlp->shape[0] / 2;
    json["num_hidden_layers"] = layers();
    json["norm_bias"] = has("embeddings.norm.bias");
    json["attention_bias"] = has("layers.0.attn.Wo.bias");
    json["mlp_bias"] = has("layers.0.mlp.Wo.bias");
    const StoredTensor* const classifier = source_.find("classifier.weight");
    json["classifier_bias"] = classifier != nullptr && decoder
                                  ? source_.find("classifier.bias") != nullptr
                                  : head("dense.bias") != nullptr;
    if (classifier != nullptr && classifier->shape.size() == 2) {
      json["num_labels"] = classifier->shape[0];
    } else if (head("dense.weight") != nullptr) {
      json["decoder_bias"] = source_.find("decoder.bias") != nullptr;
      json["tie_word_embeddings"] = tied(*embedding);
    }
    return json;
  }

  // What follows "ModernBert" or "ModernBertDecoder" in the name of the class.
  std::string architecture(bool decoder) const {
    if (source_.find("classifier.weight") != nullptr) return "ForSequenceClassification";
    if (head("dense.weight") == nullptr) return "Model";
    return decoder ? "ForCausalLM" : "ForMaskedLM";
  }

 private:
  bool has(std::string_view name) const {
    return source_.find(fmt::format("{}{}", prefix_, name)) != nullptr;
  }
  const StoredTensor* head(std::string_view name) const {
    const StoredTensor* found = source_.find(fmt::format("head.{}", name));
    return found != nullptr ? found : source_.find(fmt::format("lm_head.{}", name));
  }

  // Empty when no name says it: a backbone alone, or a classifier of either kind.
  std::string kind() const {
    if (source_.find("lm_head.dense.weight") != nullptr || has("layers.0.attn.q_proj.weight")) {
      return std::string(kDecoderType);
    }
    const bool masked = source_.find("head.dense.weight") != nullptr;
    return std::string(masked ? kEncoderType : std::string_view());
  }

  Result<const StoredTensor*> matrix(std::string_view name) const {
    const StoredTensor* const found = source_.find(fmt::format("{}{}", prefix_, name));
    if (found != nullptr && found->shape.size() == 2 && found->element_count() > 0) return found;
    const Status why(StatusCode::bad_data,
                     found == nullptr
                         ? fmt::format("{}: no tensor {}{} among {}", source_.where(), prefix_,
                                       name, source_.tensors().size())
                         : fmt::format("{}: {} is {} and should be a matrix", source_.where(),
                                       found->name, shape_to_string(found->shape)),
                     "the file should hold the weights of an Ettin or ModernBERT model");
    return why;
  }

  // One more than the highest number; gaps are found when the tensors are looked up.
  int64_t layers() const {
    const std::string start = prefix_ + "layers.";
    int64_t count = 0;
    for (const StoredTensor& tensor : source_.tensors()) {
      const std::string_view name = tensor.name;
      if (!name.starts_with(start)) continue;
      int64_t number = 0;
      const auto parsed =
          std::from_chars(name.data() + start.size(), name.data() + name.size(), number);
      if (parsed.ec == std::errc() && number >= 0 && number < INT32_MAX) {
        count = std::max(count, number + 1);
      }
    }
    return count;
  }

  bool tied(const StoredTensor& embedding) const {
    const StoredTensor* const decoder = source_.find("decoder.weight");
    if (decoder == nullptr) return true;
    if (decoder->shape != embedding.shape || decoder->dtype != embedding.dtype) return false;
    return decoder->bytes.data() == embedding.bytes.data() ||
           std::memcmp(decoder->bytes.data(), embedding.bytes.data(), embedding.bytes.size()) == 0;
  }

  const TensorSource& source_;
  std::string prefix_;
};

// Adds what a config says, as far as the tensors do not contradict it.
Status add(const StatedConfig& stated, bool all_keys, const Json& but_for,
           const TensorSource& source, std::string_view remedy, Json* json) {
  if (!stated.json.is_object()) return {};
  const auto listed = [](const auto& keys, const std::string& key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  const Json translated = as_hugging_face(stated.json);
  for (const auto& [key, value] : translated.items()) {
    if (value.is_null() && key != "local_rope_theta") continue;
    if (!all_keys && !listed(kTaken, key)) continue;
    if (json_member(but_for, key) != nullptr) continue;
    const Json* derived = json_member(*json, key);
    const bool fixed = key == "model_type" || listed(kOfTensors, key);
    if (derived != nullptr && fixed && *derived != value) {
      return Status(StatusCode::bad_data,
                    fmt::format("{}: \"{}\" is {:.80}, but the tensors of {} say {}", stated.where,
                                key, dump_json(value), source.where(), dump_json(*derived)),
                    std::string(remedy));
    }
    if (derived == nullptr || !fixed) (*json)[key] = value;
  }
  return {};
}

void set_default(Json* json, std::string_view key, Json value) {
  if (json_member(*json, key) == nullptr) (*json)[std::string(key)] = std::move(value);
}

}  // namespace

Json as_hugging_face(const Json& json) {
  if (!json.is_object() || is_type(json, kEncoderType) || is_type(json, kDecoderType)) return json;
  Json out = json;
  out.erase("architectures");  // of classes that Hugging Face does not have
  out.erase("model_type");
  const auto move = [&](std::string_view from, std::string_view to) {
    const Json* member = json_member(json, from);
    if (member == nullptr) return;
    if (!member->is_null()) set_default(&out, to, *member);
    out.erase(std::string(from));
  };
  const auto positive = [&](std::string_view key) {
    const Json* member = json_member(json, key);
    return member != nullptr && member->is_number() && member->get<double>() > 0;
  };
  move("hidden_act", "hidden_activation");
  move("head_pred_act", "classifier_activation");
  if (const Json* norm = json_member(json, "norm_kwargs")) {
    if (const Json* eps = json_member(*norm, "eps")) set_default(&out, "norm_eps", *eps);
  }
  if (json_member(json, "rotary_emb_base") == nullptr) return out;
  // A training config: "unset" is -1 there, and a local theta that is unset is the global one.
  const bool local = positive("local_attn_rotary_emb_base");
  if (!positive("rotary_emb_base")) out.erase("rotary_emb_base");
  if (!local) out.erase("local_attn_rotary_emb_base");
  move("rotary_emb_base", "global_rope_theta");
  if (local) {
    move("local_attn_rotary_emb_base", "local_rope_theta");
  } else if (json_member(out, "global_rope_theta") != nullptr) {
    set_default(&out, "local_rope_theta", *json_member(out, "global_rope_theta"));
  }
  out.erase("sliding_window");  // here the whole width of a window
  if (positive("sliding_window")) set_default(&out, "local_attention", json["sliding_window"]);
  if (!positive("global_attn_every_n_layers")) out.erase("global_attn_every_n_layers");
  return out;
}

Result<Json> checkpoint_config(const TensorSource& source, const StatedConfig& own,
                               const StatedConfig& beside) {
  Shape shape(source);
  ETTIN_ASSIGN_OR_RETURN(Json json, shape.read());
  const auto hidden = json["hidden_size"].get<int64_t>();
  ETTIN_RETURN_IF_ERROR(add(own, false, as_hugging_face(beside.json), source,
                            "put a config.json with the right value beside it", &json));
  ETTIN_RETURN_IF_ERROR(add(beside, true, {}, source,
                            "the config belongs to other weights: correct it or take it away",
                            &json));
  const bool decoder = is_type(json, kDecoderType);
  if (!decoder && !is_type(json, kEncoderType)) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: no tensor tells an encoder (head.dense) from a decoder "
                              "(lm_head.dense)",
                              source.where()),
                  "put a config.json with \"model_type\" beside it: \"modernbert\" or "
                  "\"modernbert-decoder\"");
  }
  set_default(
      &json, "architectures",
      {fmt::format("ModernBert{}{}", decoder ? "Decoder" : "", shape.architecture(decoder))});
  if (json_member(json, "num_attention_heads") == nullptr && hidden % kHeadSize != 0) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: hidden size {} is not a multiple of {}, so the number of heads "
                              "is not known",
                              source.where(), hidden, kHeadSize),
                  "put a config.json with \"num_attention_heads\" beside it");
  }
  set_default(&json, "num_attention_heads", hidden / kHeadSize);
  set_default(&json, "max_position_embeddings", 7999);
  set_default(&json, "hidden_activation", "gelu");
  set_default(&json, "norm_eps", 1e-5);
  set_default(&json, "global_attn_every_n_layers", 3);
  if (json_member(json, "sliding_window") == nullptr) set_default(&json, "local_attention", 128);
  // In a smaller vocabulary the defaults of transformers would lie outside.
  const bool its_own = json["vocab_size"] >= kEttinVocabulary;
  for (const auto& [key, id] : kSpecialTokens) set_default(&json, key, its_own ? Json(id) : Json());
  return json;
}

}  // namespace ettin
