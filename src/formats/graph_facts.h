// What the graph of an ONNX file says about the model, where other files leave it to config.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ettin {

struct GraphFacts {
  enum class Top : uint8_t { none, language_model, classifier };

  std::string file;
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  std::optional<int64_t> num_heads;
  std::optional<bool> causal;
  Top top = Top::none;
  std::string activation;  // of the MLP: "gelu", ...; empty when it is not known
  double norm_eps = 0;

  struct Layer {
    bool local = false;
    std::optional<int64_t> window_left;  // keys before the query that a local layer sees
    std::optional<double> rope_theta;
  };
  std::vector<Layer> layers;
};

}  // namespace ettin
