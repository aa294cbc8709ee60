// The backward of attention over a ragged batch, cut into tasks for the thread pool.
#pragma once

#include <span>

#include "backend/cpu/gradient_kernels.h"
#include "base/thread_pool.h"

namespace ettin::cpu {

// The operands of Gradients::attention_backward, checked.
struct AttentionGradientCall {
  ConstView qkv;
  std::span<const int64_t> starts;
  AttentionSpec spec;
  int64_t heads = 1;
  ConstView out, log_sums, dy;
  View d_qkv;
};

void run_attention_backward(const AttentionGradientKernels& kernels, ThreadPool& pool,
                            const AttentionGradientCall& call);

}  // namespace ettin::cpu
