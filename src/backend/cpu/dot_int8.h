// Dot products of int8 as other tools store it; see dot_kernels.h.
#pragma once

#include "backend/cpu/dot_kernels.h"

namespace ettin::cpu::dot {

const DotKernels& int8_kernels();

}  // namespace ettin::cpu::dot
