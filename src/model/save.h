// A Network's tensors to a file, in a number format: what loading with that format computes,
// stored.
#pragma once

#include <string>
#include <vector>

#include "formats/tensor_source.h"
#include "model/load.h"

namespace ettin {

// Writes the tensors of `source` to a safetensors file at `path`, with the matrices rounded to
// `format`: bf16, or q8 or q4 with NAME.weight_scale beside NAME.weight (tensor/stored_matrix.h).
// Names, and the split of Q, K and V, are the source's; norms and biases are fp32; a tied matrix is
// stored once; tensors that nothing uses are left out. Rows are rounded as packing rounds them, so
// the file computes, bit for bit, what its source computes in that format. One row is in memory.
//
// A source that is q8 or q4 itself can be expanded to bf16, not turned into the other.
Status save_tensors(const ModelConfig& config, const TensorSource& source,
                    const LoadOptions& options, WeightFormat format, const std::string& path,
                    std::vector<std::string>* warnings);

}  // namespace ettin
