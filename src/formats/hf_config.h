// config.json and generation_config.json as they are written: types and ranges are checked, keys
// that are absent stay absent. What an absent key means is decided in model/config.cc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "ettin/status.h"

namespace ettin {

struct HfRope {                  // one entry of "rope_parameters"
  std::optional<double> theta;   // "rope_theta"
  std::string type = "default";  // "rope_type"; others are refused by the reader
};

struct HfConfig {
  std::string where;       // path, for messages
  std::string model_type;  // "modernbert", "modernbert-decoder"
  std::vector<std::string> architectures;

  int64_t vocab_size = 0;  // these six are required
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t max_position_embeddings = 0;

  std::optional<std::string> hidden_activation, classifier_activation, classifier_pooling;
  std::optional<double> norm_eps, layer_norm_eps;
  std::optional<bool> norm_bias, attention_bias, mlp_bias, decoder_bias, classifier_bias;
  std::optional<bool> tie_word_embeddings;

  std::optional<int64_t> global_attn_every_n_layers, local_attention, sliding_window;
  std::vector<std::string> layer_types;           // empty when absent
  std::map<std::string, HfRope> rope_parameters;  // by layer type; empty when absent
  std::optional<double> global_rope_theta, rope_theta;
  // Present but null means something else than absent: see model/config.cc.
  bool has_local_rope_theta = false;
  std::optional<double> local_rope_theta;

  std::optional<int64_t> num_labels;
  std::map<int64_t, std::string> id2label;
  std::string problem_type;  // empty when absent

  std::optional<int64_t> pad_token_id, bos_token_id, cls_token_id, sep_token_id;
  std::vector<int64_t> eos_token_ids;  // a number or a list in the file

  bool q8_rotated = false;  // "quantization_config" has the "rotation" of tensor/hadamard.h
};

// `where` names the source in messages.
Result<HfConfig> parse_hf_config(const Json& json, std::string_view where);
// `directory`/config.json, within the limits of one.
Result<Json> read_config_json(const std::string& directory);
Result<HfConfig> read_hf_config(const std::string& directory);

struct GenerationConfig {
  std::vector<int64_t> eos_token_ids;
  std::optional<int64_t> bos_token_id, pad_token_id;
};

// `directory`/generation_config.json; nullopt when there is none.
Result<std::optional<GenerationConfig>> read_generation_config(const std::string& directory);

}  // namespace ettin
