// Softmax cross-entropy over a large vocabulary, forward and backward, without all logits at once.
#pragma once

#include "backend/cpu/operands.h"
#include "backend/gradients.h"

namespace ettin::cpu {

// Gradients::cross_entropy, its shapes checked.
void cross_entropy(const TrainingContext& context, const CrossEntropy& call);

}  // namespace ettin::cpu
