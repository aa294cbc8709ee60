// Weights in the layout of the CPU kernels.
//
// A matrix is cut into panels of W = two vectors of output features (columns). Inside a panel the
// input feature k is the slow index, so a kernel streams the panel from its start to its end:
//
//   fp32   [k][W]                     floats
//   bf16   [k / 2][W][2]              pairs of consecutive k
//   q8     [W] fp32 scales, then [k / 4][W][4] of level + 128; the levels are of rotated rows
//          (tensor/hadamard.h)
//   q4     per block of 32 k: [W] fp16 scales, then [4][W][4] bytes; byte t of group j holds the
//          nibble of k = 4 j + t in its lower half and of k = 16 + 4 j + t in its upper half
//
// k is filled up with zeros to whole groups or blocks, W with zero columns. For MatrixUse::gated
// the first half of a panel's columns holds activated rows and the second half the gate rows that
// belong to them: the epilogue finds both in its tile. The same panels serve `embed`, which gathers
// a column. Biases lie in panel order and are padded with zeros to whole panels.
#pragma once

#include "backend/backend.h"
#include "backend/cpu/kernels.h"

namespace ettin::cpu {

LinearWeight pack_matrix(const MatrixSource& source, MatrixUse use, WeightFormat format,
                         const MatrixKernels& kernels, ThreadPool& pool);

std::shared_ptr<const Buffer> pack_bias(const std::vector<const StoredTensor*>& blocks,
                                        int64_t out_features, bool gated, int64_t panel_width);

// Row `row` of the packed matrix, widened and not rotated. out has in_features elements.
void unpack_row(const LinearWeight& weight, int64_t row, float* out);

// A row of activations as the format rounds it, in fp32, for instruction sets without DotKernels.
// Of q8 it stays rotated, as the weights are. x may lie at the start of thread_scratch.
void round_row(WeightFormat format, const float* x, int64_t k, float* out);

int64_t panel_bytes(WeightFormat format, int64_t in_features, int64_t panel_width);

inline int64_t panel_count(const LinearWeight& w) {
  return w.gated ? (w.out_features / 2 + w.panel_width / 2 - 1) / (w.panel_width / 2)
                 : (w.out_features + w.panel_width - 1) / w.panel_width;
}

}  // namespace ettin::cpu
