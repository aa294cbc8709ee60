// The one multiply kernel: C = A B (or C += A B) for a tile of rows and panels of B. Used by
// `linear` and by both products of attention. Included once per instruction set (Highway).
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

#ifndef ETTIN_UNROLL
#define ETTIN_UNROLL _Pragma("GCC unroll 16")  // else the accumulators stay in memory
#endif

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {

constexpr int64_t kPanel = 2 * kLanes;  // columns of B in one panel

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
constexpr int kTileRows = 14, kRegisters = 32;
#elif HWY_ARCH_ARM_A64
constexpr int kTileRows = 12, kRegisters = 32;
#else
constexpr int kTileRows = 6, kRegisters = 16;
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

template <int kRows, int kPanels, bool kAccumulate>
HWY_NOINLINE void tile(const TileArgs& args) {
  const FloatTag d;
  constexpr int kVecs = 2 * kPanels;
  constexpr ptrdiff_t kAhead = 1024;  // floats: 4 KiB, measured best for weights in DRAM
  FloatVec sum[kRows][kVecs];
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      sum[r][v] = kAccumulate ? hn::LoadU(d, args.c + r * args.c_stride + v * kLanes) : hn::Zero(d);
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

template <bool kAccumulate, int kRows = kTileRows>
TileFn find_tile(int64_t rows, int64_t panels) {
  if constexpr (kRows > 1) {
    if (rows != kRows) return find_tile<kAccumulate, kRows - 1>(rows, panels);
  }
  if constexpr (panels_at_once(kRows, 4) == 4) {
    if (panels == 4) return tile<kRows, 4, kAccumulate>;
  }
  if constexpr (panels_at_once(kRows, 2) == 2) {
    if (panels == 2) return tile<kRows, 2, kAccumulate>;
  }
  return tile<kRows, 1, kAccumulate>;
}

// rows <= kTileRows, any number of panels.
template <bool kAccumulate>
inline void multiply(int64_t rows, int64_t panels, TileArgs args) {
  for (int64_t left = panels; left > 0;) {
    const int64_t count = panels_at_once(rows, left);
    find_tile<kAccumulate>(rows, count)(args);
    args.b += count * args.b_stride;
    args.c += count * kPanel;
    left -= count;
  }
}

// Rows of a tile when `rows` are cut into equal parts of at most `most`: 16 = 8 + 8, not 14 + 2.
inline int64_t even_rows(int64_t rows, int64_t most) {
  const int64_t tiles = (rows + most - 1) / most;
  return (rows + tiles - 1) / tiles;
}
inline int64_t even_tile_rows(int64_t rows) { return even_rows(rows, kTileRows); }

// panel[k * kPanel + c] = rows[c][k] for c < count; the other columns are not touched.
HWY_NOINLINE inline void transpose_rows(const float* const* rows, int64_t count, int64_t k,
                                        float* panel) {
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
      float* to = panel + i * kPanel + c;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dw, lo01, lo23)), d, to);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dw, lo01, lo23)), d, to + kPanel);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dw, hi01, hi23)), d, to + 2 * kPanel);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dw, hi01, hi23)), d, to + 3 * kPanel);
    }
    for (; i < k; ++i) {
      for (int64_t j = 0; j < 4; ++j) panel[i * kPanel + c + j] = rows[c + j][i];
    }
  }
#endif
  for (; c < count; ++c) {
    for (int64_t i = 0; i < k; ++i) panel[i * kPanel + c] = rows[c][i];
  }
}

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
