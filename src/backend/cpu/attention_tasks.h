// Attention over a ragged batch, cut into tasks for the thread pool.
#pragma once

#include <span>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"

namespace ettin::cpu {

// The operands of Backend::attention, checked. With bf16, caches hold bf16 and the rows of this
// call are rounded the same way.
struct AttentionCall {
  ConstView qkv;
  std::span<const int64_t> starts;
  AttentionSpec spec;
  int64_t heads = 1;
  std::span<const KvView> caches;
  bool bf16 = false;
  View out;
  View log_sums = {};  // [T, heads], or empty: not wanted
};

void run_attention(const AttentionKernels& kernels, ThreadPool& pool, const AttentionCall& call);

}  // namespace ettin::cpu
