// Choice of the instruction set.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin::cpu {

struct Isa {
  std::string_view name;  // as ETTIN_ISA spells it
  int64_t target;         // one HWY_* bit
};

// Built into this program and supported by this machine, best first.
std::vector<Isa> available_isas();

// `limit`: a name of an instruction set, or empty for the best one. The result is the mask of the
// sets that may be used.
Result<int64_t> choose_targets(std::string_view limit);

}  // namespace ettin::cpu
