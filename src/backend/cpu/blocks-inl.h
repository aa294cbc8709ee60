// Weight-only panels (cpu/pack.h): integers with scales, expanded to fp32 where they are
// multiplied. Included once per instruction set (Highway).
#if defined(ETTIN_BACKEND_CPU_BLOCKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ETTIN_BACKEND_CPU_BLOCKS_INL_H_
#undef ETTIN_BACKEND_CPU_BLOCKS_INL_H_
#else
#define ETTIN_BACKEND_CPU_BLOCKS_INL_H_
#endif

#include <algorithm>

#include "backend/cpu/pack.h"
#include "backend/cpu/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {

// Calls fn(k, w0, w1) for every input feature of a panel, in order, with the two vectors of its
// weights: (integer - zero) * scale, rounded once, as read_row has them.
template <int kBits, class Fn>
HWY_INLINE void for_each_weight(const WeightBlocks& blocks, const std::byte* panel, int64_t k,
                                Fn fn) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  const hn::RebindToUnsigned<FloatTag> du;
  constexpr int64_t kPerWord = 32 / kBits;
  const auto mask = hn::Set(du, (1u << kBits) - 1);
  const int64_t bytes = cpu::block_bytes(blocks, kPanel);
  const std::byte* block = panel;
  for (int64_t first = 0; first < k; first += blocks.size, block += bytes) {
    const auto* header = reinterpret_cast<const float*>(block);
    const auto scale0 = hn::Load(d, header), scale1 = hn::Load(d, header + kLanes);
    auto zero0 = hn::Set(d, blocks.zero), zero1 = zero0;
    const float* at = header + kPanel;
    if (blocks.zeros) {
      zero0 = hn::Load(d, at);
      zero1 = hn::Load(d, at + kLanes);
      at += kPanel;
    }
    const auto* words = reinterpret_cast<const uint32_t*>(at);
    const int64_t end = std::min(k, first + blocks.size);
    for (int64_t i = first; i < end; i += kPerWord, words += kPanel) {
      auto v0 = hn::Load(du, words), v1 = hn::Load(du, words + kLanes);
      const auto emit = [&](int64_t at_k, auto bits0, auto bits1) HWY_ATTR {
        const auto n0 = hn::ConvertTo(d, hn::BitCast(di, hn::And(bits0, mask)));
        const auto n1 = hn::ConvertTo(d, hn::BitCast(di, hn::And(bits1, mask)));
        fn(at_k, hn::Mul(hn::Sub(n0, zero0), scale0), hn::Mul(hn::Sub(n1, zero1), scale1));
      };
      // The lower parts of the four bytes, then, of 4 bits, the upper ones.
      for (int64_t part = 0; part < kPerWord / 4; ++part) {
        auto p0 = part == 0 ? v0 : hn::ShiftRight<4>(v0),
             p1 = part == 0 ? v1 : hn::ShiftRight<4>(v1);
        for (int64_t t = 0; t < 4 && i + 4 * part + t < end; ++t) {
          emit(i + 4 * part + t, p0, p1);
          p0 = hn::ShiftRight<8>(p0);
          p1 = hn::ShiftRight<8>(p1);
        }
      }
    }
  }
}

template <class Fn>
HWY_INLINE void for_each_weight(const WeightBlocks& blocks, const std::byte* panel, int64_t k,
                                Fn fn) {
  if (blocks.bits == 4) {
    for_each_weight<4>(blocks, panel, k, fn);
  } else {
    for_each_weight<8>(blocks, panel, k, fn);
  }
}

// As fp32 [k, kPanel].
HWY_INLINE void widen_blocks(const WeightBlocks& blocks, const std::byte* panel, int64_t k,
                             float* HWY_RESTRICT out) {
  const FloatTag d;
  for_each_weight(blocks, panel, k, [&](int64_t i, FloatVec w0, FloatVec w1) HWY_ATTR {
    hn::Store(w0, d, out + i * kPanel);
    hn::Store(w1, d, out + i * kPanel + kLanes);
  });
}

// One row times one panel: the bits of widen_blocks and the fp32 tile, without the copy.
HWY_INLINE void multiply_blocks(const WeightBlocks& blocks, const std::byte* panel, int64_t k,
                                const float* HWY_RESTRICT x, float* HWY_RESTRICT sums) {
  const FloatTag d;
  auto sum0 = hn::Zero(d), sum1 = hn::Zero(d);
  for_each_weight(blocks, panel, k, [&](int64_t i, FloatVec w0, FloatVec w1) HWY_ATTR {
    const auto a = hn::Set(d, x[i]);
    sum0 = hn::MulAdd(a, w0, sum0);
    sum1 = hn::MulAdd(a, w1, sum1);
  });
  hn::StoreU(sum0, d, sums);
  hn::StoreU(sum1, d, sums + kLanes);
}

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
