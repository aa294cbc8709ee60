// What a folder stores for every entry of the list of tensors, under whichever of its published
// names, checked against the config. Loading and saving read the same plan.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor_source.h"
#include "model/load.h"
#include "model/weights.h"
#include "tensor/stored_matrix.h"

namespace ettin {

// The stored tensors of one TensorSpec. Points into the source.
struct FoundTensor {
  TensorSpec spec;
  std::vector<StoredMatrix> blocks;    // of a matrix; empty where it is tied and not stored
  const StoredTensor* gain = nullptr;  // of a norm
  std::vector<const StoredTensor*> bias_blocks;  // as many as blocks (norm: one), or none
  // Not what the embedding holds: only then is a tied matrix one of its own.
  bool differs_from_embedding = false;
};

// In the order of the list. Missing, extra and misshaped tensors are all listed in one error.
// Nothing is read but names, types and shapes, and a tied matrix that is stored twice.
Result<std::vector<FoundTensor>> find_tensors(const ModelConfig& config, const TensorSource& source,
                                              const LoadOptions& options,
                                              std::vector<std::string>* warnings);

// "q8", "q4", "int8" or "int4" of other tools' integers, or the type of a floating matrix: "fp16".
std::string_view stored_name(const StoredMatrix& matrix);

// The format that a found matrix is packed in where the backend's is `wanted`: an error when that
// is q8 or q4 and the matrix is stored in the other.
Result<WeightFormat> choose_format(const FoundTensor& found, WeightFormat wanted,
                                   const LoadOptions& options, const TensorSource& source);

// Reads the scales and levels of the quantised matrices: an error for scales that are not finite
// and for levels that no rule of tensor/quantize.h gives.
Status check_levels(std::span<const FoundTensor> plan, const TensorSource& source);

}  // namespace ettin
