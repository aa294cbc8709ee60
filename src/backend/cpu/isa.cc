#include "backend/cpu/isa.h"

#include "backend/cpu/targets.h"

#include <fmt/format.h>
#include <hwy/highway.h>

namespace ettin::cpu {
namespace {

// `targets` is one bit here; available_isas() adds those of the lines below.
constexpr IsaChoice kIsas[] = {
#if HWY_ARCH_X86
    {"avx3_bf16", HWY_AVX3, true, true},
    {"avx3_vnni", HWY_AVX3, true, false},
    {"avx3", HWY_AVX3},
    {"avx2", HWY_AVX2},
    {"sse4", HWY_SSE4},
#elif HWY_ARCH_ARM
    {"neon", HWY_NEON},
#endif
    {"emu128", HWY_EMU128},
    {"scalar", HWY_SCALAR},
};

bool machine_has([[maybe_unused]] const IsaChoice& isa) {
#if HWY_ARCH_X86
  __builtin_cpu_init();
  if (isa.vnni && !__builtin_cpu_supports("avx512vnni")) return false;
  if (isa.bf16 && !__builtin_cpu_supports("avx512bf16")) return false;
#endif
  return true;
}

}  // namespace

std::vector<IsaChoice> available_isas() {
  std::vector<IsaChoice> result;
  const int64_t supported = hwy::SupportedTargets() | HWY_STATIC_TARGET;
  for (const IsaChoice& isa : kIsas) {
    if ((supported & HWY_TARGETS & isa.targets) == 0 || !machine_has(isa)) continue;
    for (IsaChoice& better : result) better.targets |= isa.targets;
    result.push_back(isa);
  }
  return result;
}

Result<IsaChoice> choose_isa(std::string_view limit) {
  std::string names;
  for (const IsaChoice& isa : available_isas()) {
    if (limit.empty() || limit == isa.name) return isa;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", isa.name);
  }
  return Status(StatusCode::invalid_argument,
                fmt::format("ETTIN_ISA: there is no instruction set '{}' here", limit),
                fmt::format("this machine and build have: {}", names));
}

}  // namespace ettin::cpu
