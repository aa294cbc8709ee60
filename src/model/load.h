// Files to a Network: finds every tensor of the list under any of its published names, checks all
// of them, then packs them for the backend.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "formats/tensor_source.h"
#include "model/backbone.h"
#include "tensor/weight_format.h"

namespace ettin {

struct LoadOptions {
  bool allow_extra_tensors = false;  // otherwise a tensor that nothing uses is an error
  // Pack each matrix in the format that it is stored in (bf16, q8 or q4; else fp32) instead of the
  // backend's.
  bool as_stored = false;
  // With as_stored: the integers of other tools (int8, weight-only) become fp32.
  bool expand = false;
  // A file that keeps the packed matrices, to be mapped by the next load (formats/packed_file.h).
  // Made when it is absent, of other weights or damaged; failing to write it is a warning. Empty:
  // none.
  std::string packed_file;
};

// The narrowest format of the layers' matrices as stored: what the model computes in without any
// other wish. Reads names, types and shapes.
Result<WeightFormat> stored_format(const ModelConfig& config, const TensorSource& source,
                                   const LoadOptions& options);

// Missing, extra and misshaped tensors are all listed in one error. Nothing is allocated before
// every tensor was found with its right shape.
//
// Names accepted: with and without the "model." prefix; Wqkv, or q_proj, k_proj, v_proj;
// head.* or lm_head.*; decoder.weight only where it is not tied to the embedding. Buffers of rotary
// embeddings (*inv_freq) are ignored. A matrix is floating, or q8 or q4 with its scales beside it
// as NAME.weight_scale (tensor/stored_matrix.h): one that is quantised can be packed as it is
// stored or expanded, but not as q4 where it is q8, nor the other way round.
Result<Network> build_network(ModelConfig config, std::shared_ptr<const Backend> backend,
                              const TensorSource& source, const LoadOptions& options,
                              std::vector<std::string>* warnings);

// Random values for every tensor of the config, in Hugging Face's encoder spelling: matrices normal
// with deviation 0.02, gains 1, biases 0. A pure function of (seed, tensor name).
TensorSource random_tensors(const ModelConfig& config, uint64_t seed);

}  // namespace ettin
