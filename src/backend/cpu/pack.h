// Weights in the layout of the CPU kernels.
//
// A matrix is cut into panels of two vectors of output features; inside a panel the input feature
// is the slow index, so the kernel streams it. For MatrixUse::gated the first vector of a panel
// holds activated rows and the second the gate rows that belong to them: the epilogue finds both in
// its tile. The same panels serve `embed`, which gathers a row with the stride of a panel.
// Biases lie in panel order and are padded with zeros to whole panels.
#pragma once

#include "backend/backend.h"
#include "backend/cpu/kernels.h"

namespace ettin::cpu {

LinearWeight pack_matrix(const MatrixSource& source, MatrixUse use, const MatrixKernels& kernels,
                         ThreadPool& pool);

std::shared_ptr<const Buffer> pack_bias(const std::vector<const StoredTensor*>& blocks,
                                        int64_t out_features, bool gated, int64_t panel_width);

inline int64_t panel_count(const LinearWeight& w) {
  return w.gated ? (w.out_features / 2 + w.panel_width / 2 - 1) / (w.panel_width / 2)
                 : (w.out_features + w.panel_width - 1) / w.panel_width;
}

}  // namespace ettin::cpu
