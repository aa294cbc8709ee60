// Choice of the instruction set.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin::cpu {

// What kernels may use.
struct IsaChoice {
  std::string_view name;  // as ETTIN_ISA spells it: "avx3_bf16"
  int64_t targets = 0;    // mask of HWY_* bits
  bool vnni = false;      // AVX-512 dot products of bytes
  bool bf16 = false;      // AVX-512 dot products of bf16
};

// Built into this program and supported by this machine, best first. Each may use all that the
// later ones may.
std::vector<IsaChoice> available_isas();

// `limit`: a name of an instruction set, or empty for the best one.
Result<IsaChoice> choose_isa(std::string_view limit);

}  // namespace ettin::cpu
