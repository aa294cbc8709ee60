// The vector of floats that every kernel works with, and access to fewer elements than it has.
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

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(FloatTag()));

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

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
