// What a sentence-transformers folder says about the steps after the transformer: modules.json, the
// folder of each module, config_sentence_transformers.json and sentence_bert_config.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ettin/status.h"
#include "formats/tensor_source.h"

namespace ettin {

struct SentenceModule {
  enum class Kind : uint8_t { pooling, dense, layer_norm, normalize } kind = Kind::normalize;
  std::string where;  // the module's folder, for messages

  std::string pooling;  // pooling: "mean", "cls", "last", "weighted_mean"

  std::string activation;   // dense: "identity", "tanh", "gelu", "relu", "silu"
  int64_t in_features = 0;  // dense, layer_norm (= out_features)
  int64_t out_features = 0;
  bool bias = false;  // dense
  std::optional<TensorSource>
      weights;  // dense: linear.weight, linear.bias; norm: norm.weight, .bias
};

struct SentenceModules {
  std::vector<SentenceModule> modules;                       // after the transformer, in order
  std::vector<std::pair<std::string, std::string>> prompts;  // name, text
  std::string default_prompt;                                // a name of `prompts`, or empty
  std::optional<int64_t> max_seq_length;
};

// nullopt when `directory` has no modules.json. A module of an unknown type, or in an unknown
// arrangement, is an error: an embedding without it would be silently wrong.
Result<std::optional<SentenceModules>> read_sentence_modules(const std::string& directory);

}  // namespace ettin
