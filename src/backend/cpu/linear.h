// Backend::linear on packed weights of every format: prepares the rows, cuts the work, runs the
// tiles.
#pragma once

#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"

namespace ettin::cpu {

struct LinearContext {
  const MatrixKernels& kernels;
  const RowKernels& row_kernels;
  const IsaChoice& isa;
  ThreadPool& threads;
};

// Preconditions: those of check_linear (backend/shapes.h); the weight was packed for `kernels`.
void linear(ConstView x, const NormWeight& norm, const LinearWeight& weight, Epilogue epilogue,
            Activation activation, View out, const LinearContext& context);

}  // namespace ettin::cpu
