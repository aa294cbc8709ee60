// One number per parameter of a model, in the activation type of a backend: its master weights,
// their gradients, or an optimiser's moments. The members are named as in Weights, so
// for_each_tensor walks them beside each other.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/config.h"
#include "tensor/buffer.h"
#include "tensor/view.h"

namespace ettin {

// weight [rows, cols] of the TensorSpec ([1, H] for a norm); bias [1, rows] ([1, H] for a norm), or
// empty (data is null).
struct Parameter {
  View weight;
  View bias;
};

struct LayerParameters {
  Parameter attn_norm, qkv, attn_out, mlp_norm, mlp_in, mlp_out;
};

struct Parameters {
  Dtype dtype = Dtype::f32;
  int64_t count = 0;             // numbers in `data`
  std::shared_ptr<Buffer> data;  // in the order of the list, each weight before its bias

  Parameter token_embedding, embedding_norm;
  std::vector<LayerParameters> layers;
  Parameter final_norm;
  Parameter head_dense, head_norm;
  Parameter vocab_projection;  // tied: its weight is token_embedding's
  Parameter classifier;
};

// All zero. dtype: f32 or f64. Values 64-byte aligned per tensor.
Parameters make_parameters(const ModelConfig& config, Dtype dtype);

}  // namespace ettin
