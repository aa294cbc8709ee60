// The fp32 multiply kernel of `linear`: C = A B for a tile of rows and panels of B. Attention has
// its own (attention_f32-inl.h), whose B lies in single vectors. Included once per instruction set
// (Highway).
//
// Each element of C is one chain of fused multiply-adds in the order of k, whatever the shape of
// the tile: that makes results independent of the batch. The kernel stores raw sums to memory and
// knows no epilogue, because GCC 12 keeps accumulators on the stack when code after the loop
// modifies them.
#if defined(ETTIN_BACKEND_CPU_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ETTIN_BACKEND_CPU_TILE_INL_H_
#undef ETTIN_BACKEND_CPU_TILE_INL_H_
#else
#define ETTIN_BACKEND_CPU_TILE_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "backend/cpu/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {

constexpr int64_t kPanel = 2 * kLanes;  // columns of B in one panel

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
constexpr int kTileRows = 14;
#elif HWY_ARCH_ARM_A64
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = 6;
#endif

// Panels that one call takes: few rows leave registers free, and more sums at once hide the
// latency of the additions. Accumulators, two vectors of B per panel and one of A must fit. One row
// reads B as one stream, which memory delivers fastest.
constexpr int64_t panels_at_once(int64_t rows, int64_t left) {
  if (rows == 1) return 1;
  if (left >= 4 && rows * 8 + 9 <= kRegisters) return 4;
  return left >= 2 && rows * 4 + 5 <= kRegisters ? 2 : 1;
}

struct TileArgs {
  const float* a;  // [rows, k]
  ptrdiff_t a_stride;
  const float* b;      // panels [k, kPanel]
  ptrdiff_t b_stride;  // floats from one panel to the next
  int64_t k;
  float* c;  // [rows, panels * kPanel]
  ptrdiff_t c_stride;
};

template <int kRows, int kPanels>
HWY_NOINLINE void tile(const TileArgs& args) {
  const FloatTag d;
  constexpr int kVecs = 2 * kPanels;
  constexpr ptrdiff_t kAhead = 1024;  // floats: 4 KiB, measured best for weights in DRAM
  FloatVec sum[kRows][kVecs];
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      sum[r][v] = hn::Zero(d);
    }
  }
  const float* HWY_RESTRICT a = args.a;
  const float* HWY_RESTRICT b = args.b;
  const ptrdiff_t a_stride = args.a_stride, b_stride = args.b_stride;
  for (const float* const end = a + args.k; a != end; ++a, b += kPanel) {
    FloatVec w[kVecs];
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      const float* at = b + (v / 2) * b_stride + (v % 2) * kLanes;
      w[v] = hn::Load(d, at);
      hwy::Prefetch(at + kAhead);
    }
    ETTIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const auto x = hn::Set(d, a[r * a_stride]);
      ETTIN_UNROLL
      for (int v = 0; v < kVecs; ++v) sum[r][v] = hn::MulAdd(x, w[v], sum[r][v]);
    }
  }
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      hn::StoreU(sum[r][v], d, args.c + r * args.c_stride + v * kLanes);
    }
  }
}

using TileFn = void (*)(const TileArgs& args);

template <int kRows = kTileRows>
TileFn find_tile(int64_t rows, int64_t panels) {
  if constexpr (kRows > 1) {
    if (rows != kRows) return find_tile<kRows - 1>(rows, panels);
  }
  if constexpr (panels_at_once(kRows, 4) == 4) {
    if (panels == 4) return tile<kRows, 4>;
  }
  if constexpr (panels_at_once(kRows, 2) == 2) {
    if (panels == 2) return tile<kRows, 2>;
  }
  return tile<kRows, 1>;
}

// rows <= kTileRows, any number of panels.
inline void multiply(int64_t rows, int64_t panels, TileArgs args) {
  for (int64_t left = panels; left > 0;) {
    const int64_t count = panels_at_once(rows, left);
    find_tile(rows, count)(args);
    args.b += count * args.b_stride;
    args.c += count * kPanel;
    left -= count;
  }
}

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
