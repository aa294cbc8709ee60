// All tensors of a model, and the one list of them.
//
// for_each_tensor is the only enumeration in the project: loading, counting, initialising (and
// later saving, optimising, quantising) walk it, so they cannot disagree about what a model
// consists of.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include "backend/backend.h"
#include "model/config.h"
#include "tensor/linear_weight.h"

namespace ettin {

struct LayerWeights {
  NormWeight attn_norm;   // absent in layer 0, whose input is the embedding norm's output
  LinearWeight qkv;       // [3H, H]: rows of Q, K, V
  LinearWeight attn_out;  // [H, H]
  NormWeight mlp_norm;
  LinearWeight mlp_in;   // [2I, H]: activated half, then gate
  LinearWeight mlp_out;  // [H, I]
};

struct Weights {
  LinearWeight token_embedding;  // [V, H]
  NormWeight embedding_norm;
  std::vector<LayerWeights> layers;
  NormWeight final_norm;

  LinearWeight head_dense;  // [H, H]      prediction head, shared by all heads
  NormWeight head_norm;
  LinearWeight vocab_projection;  // [V, H]      language model; tied: shares token_embedding
  LinearWeight classifier;        // [labels, H] classification
};

// One entry of the list. `name` is Hugging Face's encoder spelling without the "model." prefix and
// without ".weight" / ".bias".
struct TensorSpec {
  std::string name;
  int64_t rows = 0;  // 1 for a norm
  int64_t cols = 0;
  bool bias = false;  // a bias of `rows` (norm: `cols`) values belongs to it
  MatrixUse use = MatrixUse::linear;
  bool is_norm = false;
  bool tied = false;  // stored under another name; only its bias is its own
};

inline bool has_attn_norm(int64_t layer) { return layer != 0; }

// Calls fn(spec, ws.member...) for every tensor of the config, in a fixed order. Each of ws is a
// Weights (const or not), sized by `layers` beforehand.
template <class Fn, class... W>
void for_each_tensor(const ModelConfig& c, Fn&& fn, W&... ws) {
  const int64_t H = c.hidden_size, I = c.intermediate_size, V = c.vocab_size;
  const auto norm = [&](std::string name) {
    return TensorSpec{
        .name = std::move(name), .rows = 1, .cols = H, .bias = c.norm_bias, .is_norm = true};
  };
  const auto matrix = [](std::string name, int64_t rows, int64_t cols, bool bias,
                         MatrixUse use = MatrixUse::linear) {
    return TensorSpec{
        .name = std::move(name), .rows = rows, .cols = cols, .bias = bias, .use = use};
  };
  fn(matrix("embeddings.tok_embeddings", V, H, false, MatrixUse::embedding), ws.token_embedding...);
  fn(norm("embeddings.norm"), ws.embedding_norm...);
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const std::string p = fmt::format("layers.{}.", i);
    [[maybe_unused]] const auto l = static_cast<size_t>(i);  // unused when ws is empty
    if (has_attn_norm(i)) fn(norm(p + "attn_norm"), ws.layers[l].attn_norm...);
    fn(matrix(p + "attn.Wqkv", 3 * H, H, c.attention_bias), ws.layers[l].qkv...);
    fn(matrix(p + "attn.Wo", H, H, c.attention_bias), ws.layers[l].attn_out...);
    fn(norm(p + "mlp_norm"), ws.layers[l].mlp_norm...);
    fn(matrix(p + "mlp.Wi", 2 * I, H, c.mlp_bias, MatrixUse::gated), ws.layers[l].mlp_in...);
    fn(matrix(p + "mlp.Wo", H, I, c.mlp_bias), ws.layers[l].mlp_out...);
  }
  fn(norm("final_norm"), ws.final_norm...);
  if (c.head == Head::none) return;
  fn(matrix("head.dense", H, H, c.classifier_bias), ws.head_dense...);
  fn(norm("head.norm"), ws.head_norm...);
  if (c.head == Head::language_model) {
    TensorSpec spec = matrix("decoder", V, H, c.decoder_bias);
    spec.tied = c.tie_word_embeddings;
    fn(spec, ws.vocab_projection...);
  } else {
    // The encoder's classifier always has a bias; the decoder's follows classifier_bias.
    const bool bias = c.arm.direction == Direction::bidirectional || c.classifier_bias;
    fn(matrix("classifier", c.num_labels, H, bias), ws.classifier...);
  }
}

// Stored values of a model; a tied matrix counts once.
int64_t parameter_count(const ModelConfig& config);

}  // namespace ettin
