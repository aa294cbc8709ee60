// What the two styles of graph write differently.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "infer/onnx/emitter.h"
#include "infer/onnx/masks.h"

namespace ettin {

class OnnxLayers {
 public:
  virtual ~OnnxLayers() = default;

  // Keys and values of the tokens before, and what the next call gets; empty without caches.
  struct Cache {
    OnnxName past_key, past_value;        // [B, A, P, d], in the type of the activations
    OnnxName present_key, present_value;  // names to give to [B, A, T, d]
  };
  // What attention returns of normed x, before the output matrix. [B, S, H] -> [B, S, H]
  virtual OnnxName attention(int64_t layer, const OnnxName& x, const Cache& cache) = 0;

  struct Sum {
    OnnxName normed, sum;
  };
  // x + update, and that normed by `norm`; `sum` of the last norm is not asked for.
  virtual Sum add_norm(const OnnxName& x, const OnnxName& update, const std::string& norm,
                       bool last) = 0;

  // activation(first half) * second half of the MLP's first matrix. [B, S, H] -> [B, S, I]
  virtual OnnxName gated(int64_t layer, const OnnxName& x) = 0;
};

std::unique_ptr<OnnxLayers> make_fused_layers(OnnxEmitter* emitter, OnnxMasks* masks);
std::unique_ptr<OnnxLayers> make_portable_layers(OnnxEmitter* emitter, OnnxMasks* masks);

// What a style cannot write of a model.
Status check_fused_layers(const ModelConfig& config, bool cached, std::string_view where);

}  // namespace ettin
