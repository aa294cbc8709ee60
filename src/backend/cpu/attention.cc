// The attention kernels of every instruction set, and the choice between them.
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/attention.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "backend/cpu/attention_core-inl.h"
#include "backend/cpu/attention_f32-inl.h"
#include "backend/cpu/dispatch.h"
#include "backend/cpu/kernels.h"
#if HWY_TARGET == HWY_AVX3
#include "backend/cpu/attention_bf16-inl.h"
#endif

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {
namespace {

template <class Math>
int64_t scratch_floats(int64_t head_dim) {
  return Scratch<Math>(nullptr, head_dim).bytes / static_cast<int64_t>(sizeof(float));
}

template <class Math>
std::pair<int64_t, int64_t> packed_bytes(int64_t head_dim) {
  const Scratch<Math> s(nullptr, head_dim);
  constexpr auto kSize = static_cast<int64_t>(sizeof(typename Math::Element));
  return {s.depth * kSize, s.padded * kSize};
}

template <class Math>
constexpr cpu::AttentionKernels make_table(void (*round)(const float*, int64_t, uint16_t*)) {
  return {kQueries,     kWindowQueries,     kBlock,     scratch_floats<Math>,
          attend<Math>, packed_bytes<Math>, pack<Math>, round};
}

void round_plainly(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = float_to_bf16(x[i]);
}

}  // namespace

const cpu::AttentionKernels* attention_table() {
  static constexpr cpu::AttentionKernels kTable = make_table<FloatMath>(round_plainly);
  return &kTable;
}

#if HWY_TARGET == HWY_AVX3
const cpu::AttentionKernels* attention_bf16_table() {
  static constexpr cpu::AttentionKernels kTable = make_table<PairMath>(round_bf16);
  return &kTable;
}
#endif

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ettin {
HWY_EXPORT(attention_table);

const cpu::AttentionKernels& cpu::attention_kernels(const IsaChoice& isa,
                                                    [[maybe_unused]] bool bf16) {
#if (HWY_TARGETS & HWY_AVX3) != 0
  if (bf16 && isa.bf16) return *N_AVX3::attention_bf16_table();
#endif
  return *pick(HWY_DISPATCH_TABLE(attention_table), isa.targets)();
}

}  // namespace ettin
#endif
