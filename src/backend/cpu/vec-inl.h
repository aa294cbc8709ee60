// The vector of floats that every kernel works with, access to fewer elements than it has, and the
// transposition that packs weights and keys.
// Included once per instruction set (Highway).
#if defined(ETTIN_BACKEND_CPU_VEC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ETTIN_BACKEND_CPU_VEC_INL_H_
#undef ETTIN_BACKEND_CPU_VEC_INL_H_
#else
#define ETTIN_BACKEND_CPU_VEC_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#ifndef ETTIN_UNROLL
#define ETTIN_UNROLL _Pragma("GCC unroll 16")  // else the accumulators stay in memory
#endif

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(FloatTag()));

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_ARCH_ARM_A64
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

// Up to a whole vector from memory of n floats; the lanes behind them are `fill`. Never reads
// past the end.
HWY_INLINE FloatVec load_part(const float* x, int64_t n, float fill = 0.0f) {
  const FloatTag d;
  if (n >= kLanes) return hn::LoadU(d, x);
  HWY_ALIGN float whole[kLanes];
  std::fill(whole, whole + kLanes, fill);
  std::copy(x, x + n, whole);
  return hn::Load(d, whole);
}

HWY_INLINE void store_part(FloatVec v, float* x, int64_t n) {
  const FloatTag d;
  if (n >= kLanes) {
    hn::StoreU(v, d, x);
    return;
  }
  HWY_ALIGN float whole[kLanes];
  hn::Store(v, d, whole);
  std::copy(whole, whole + n, x);
}

HWY_INLINE float sum_of(FloatVec v) { return hn::GetLane(hn::SumOfLanes(FloatTag(), v)); }
HWY_INLINE float largest_of(FloatVec v) { return hn::GetLane(hn::MaxOfLanes(FloatTag(), v)); }

// to[i * stride + c] = rows[c][i] for i < k and c < count; the other columns are not touched.
inline HWY_NOINLINE void transpose_rows(const float* const* rows, int64_t count, int64_t k,
                                        float* to, int64_t stride) {
  int64_t c = 0;
#if HWY_TARGET != HWY_SCALAR  // squares of 4 x 4
  const hn::FixedTag<float, 4> d;
  const hn::RepartitionToWide<decltype(d)> dw;
  for (; c + 4 <= count; c += 4) {
    const float *r0 = rows[c], *r1 = rows[c + 1], *r2 = rows[c + 2], *r3 = rows[c + 3];
    int64_t i = 0;
    for (; i + 4 <= k; i += 4) {
      const auto v0 = hn::LoadU(d, r0 + i), v1 = hn::LoadU(d, r1 + i);
      const auto v2 = hn::LoadU(d, r2 + i), v3 = hn::LoadU(d, r3 + i);
      const auto lo01 = hn::BitCast(dw, hn::InterleaveLower(d, v0, v1));
      const auto lo23 = hn::BitCast(dw, hn::InterleaveLower(d, v2, v3));
      const auto hi01 = hn::BitCast(dw, hn::InterleaveUpper(d, v0, v1));
      const auto hi23 = hn::BitCast(dw, hn::InterleaveUpper(d, v2, v3));
      float* at = to + i * stride + c;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dw, lo01, lo23)), d, at);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dw, lo01, lo23)), d, at + stride);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dw, hi01, hi23)), d, at + 2 * stride);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dw, hi01, hi23)), d, at + 3 * stride);
    }
    for (; i < k; ++i) {
      for (int64_t j = 0; j < 4; ++j) to[i * stride + c + j] = rows[c + j][i];
    }
  }
#endif
  for (; c < count; ++c) {
    for (int64_t i = 0; i < k; ++i) to[i * stride + c] = rows[c][i];
  }
}

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
