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
//   int8   [W] fp32 scales, [W] int32 zeros, [W] int32 sums of (byte - zero) over a column, then
//          [k / 4][W][4] bytes
//   weight-only, per block: [W] fp32 scales, [W] fp32 zeros where blocks have their own, then
//          8 bits: [block / 4][W][4] bytes
//          4 bits: [block / 8][W][4] bytes; byte t of group j holds the integer of k = 8 j + t in
//          its lower half and of k = 8 j + 4 + t in its upper half
//
// k is filled up with zeros to whole groups or blocks, W with zero columns. For MatrixUse::gated
// the first half of a panel's columns holds activated rows and the second half the gate rows that
// belong to them: the epilogue finds both in its tile. The same panels serve `embed`, which gathers
// a column. Biases lie in panel order and are padded with zeros to whole panels.
#pragma once

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "tensor/quantize.h"

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
// The same of int8 with a scale that is given.
void round_row_bytes(ByteScale scale, const float* x, int64_t k, float* out);

int64_t panel_bytes(const LinearWeight& weight);

inline int64_t q4_block_bytes(int64_t width) { return width * (2 + kQ4Block / 2); }

// Of a weight-only panel: a block's groups of 4 bytes for each column, and all its bytes.
constexpr int64_t block_words(const WeightBlocks& b) {
  const int64_t per_word = 32 / b.bits;
  return (b.size + per_word - 1) / per_word;
}
constexpr int64_t block_bytes(const WeightBlocks& b, int64_t panel_width) {
  return panel_width * 4 * (1 + (b.zeros ? 1 : 0) + block_words(b));
}
constexpr int64_t kInt8HeaderWords = 3;  // of 4 bytes for each column: scale, zero, sum

inline int64_t panel_count(const LinearWeight& w) {
  return w.gated ? (w.out_features / 2 + w.panel_width / 2 - 1) / (w.panel_width / 2)
                 : (w.out_features + w.panel_width - 1) / w.panel_width;
}

}  // namespace ettin::cpu
