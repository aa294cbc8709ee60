#include "backend/cpu/isa.h"

#include "backend/cpu/targets.h"

#include <fmt/format.h>
#include <hwy/highway.h>

namespace ettin::cpu {
namespace {

constexpr Isa kIsas[] = {
#if HWY_ARCH_X86
    {"avx3", HWY_AVX3},     {"avx2", HWY_AVX2},     {"sse4", HWY_SSE4},
#elif HWY_ARCH_ARM
    {"neon", HWY_NEON},
#endif
    {"emu128", HWY_EMU128}, {"scalar", HWY_SCALAR},
};

}  // namespace

std::vector<Isa> available_isas() {
  std::vector<Isa> result;
  const int64_t supported = hwy::SupportedTargets() | HWY_STATIC_TARGET;
  for (const Isa& isa : kIsas) {
    if ((supported & HWY_TARGETS & isa.target) != 0) result.push_back(isa);
  }
  return result;
}

Result<int64_t> choose_targets(std::string_view limit) {
  int64_t targets = 0;
  std::string names;
  for (const Isa& isa : available_isas()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", isa.name);
    if (limit.empty() || limit == isa.name || targets != 0) targets |= isa.target;
  }
  if (targets != 0) return targets;
  return Status(StatusCode::invalid_argument,
                fmt::format("ETTIN_ISA: there is no instruction set '{}' here", limit),
                fmt::format("this machine and build have: {}", names));
}

}  // namespace ettin::cpu
