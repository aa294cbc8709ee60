// A model's tensors as transformers stores them: floating point, under the names of an arm's class.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/find_tensors.h"
#include "tensor/dtype.h"

namespace ettin {

// The names of an entry of the list in the class of `arm`, without ".weight" and ".bias": one, or
// three that hold a third of its rows each.
std::vector<std::string> names_in_class(const ModelConfig& config, const TensorSpec& spec,
                                        const Arm& arm);

struct FloatingSave {
  Dtype dtype = Dtype::f32;  // f32, f16 or bf16, for every tensor
  // Names and splits: Wqkv and head.* of an encoder; q_proj, k_proj, v_proj and, with a language
  // model's head, lm_head.* of a decoder.
  Arm arm = kEncoder;
  uint64_t shard_bytes = 5'000'000'000;  // of a file's tensors, if more than one fits
};

// Writes model.safetensors into `directory`, or shards and model.safetensors.index.json when the
// tensors take more than shard_bytes. q8 and q4 are expanded; a tied matrix is stored once; tensors
// that nothing uses are left out. Values that the type cannot hold are an error. One row is in
// memory. `where` names the source in messages.
Status save_floating(const ModelConfig& config, std::span<const FoundTensor> plan,
                     const FloatingSave& how, const std::string& directory, std::string_view where);

}  // namespace ettin
