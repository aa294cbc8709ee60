// The q4 part of dot_kernels.h.
#pragma once

#include "backend/cpu/dot_kernels.h"

namespace ettin::cpu::dot {

const DotKernels& q4_kernels();  // needs AVX-512 VNNI

}  // namespace ettin::cpu::dot
