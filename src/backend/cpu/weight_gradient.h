// d_weight += dy^T norm(x), as products of packed operands.
#pragma once

#include "backend/cpu/operands.h"

namespace ettin::cpu {

// Gradients::linear_weight_backward, its shapes checked.
void linear_weight_backward(const TrainingContext& context, ConstView dy, ConstView x,
                            const NormWeight& norm, View d_weight);

}  // namespace ettin::cpu
