// Softmax cross-entropy over a large vocabulary, forward and backward, without all logits at once.
#pragma once

#include <cstdint>
#include <span>

#include "backend/cpu/operands.h"

namespace ettin::cpu {

// Gradients::cross_entropy, its shapes checked.
struct CrossEntropy {
  ConstView x;
  const LinearWeight& weight;
  const LinearWeight& transposed;
  std::span<const int32_t> targets;
  double scale;
  std::span<double> losses;
  std::span<uint8_t> best;
  View dx, d_weight, d_bias;
};

void cross_entropy(const TrainingContext& context, const CrossEntropy& call);

}  // namespace ettin::cpu
