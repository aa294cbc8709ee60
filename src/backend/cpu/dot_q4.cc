// Tiles of q4: integer sums over blocks of 32, then one fused multiply-add by the block's scale.
#include "backend/cpu/dot_q4.h"

#if defined(__x86_64__)

#include <hwy/base.h>

#include "backend/cpu/dot_common-inl.h"

HWY_PUSH_ATTRIBUTES(ETTIN_AVX512_DOT)

namespace ettin::cpu::dot {
namespace {

// One block of 32 k: eight groups per column. Packed, groups j and j + 4 share the bytes of group
// j.
template <int kRows, int kPanels, bool kUnpacked>
HWY_NOINLINE void q4_tile(const DotArgs& args) {
  constexpr int kVecs = 2 * kPanels;
  constexpr ptrdiff_t kBlockBytes = kUnpacked ? kUnpackedBlockBytes : kQ4BlockBytes;
  const LevelRow layout(args.k);
  const std::byte* x = args.x;
  const std::byte* w = args.panels;
  const std::byte* starts = args.x + layout.block_starts();
  const ptrdiff_t x_stride = args.x_stride, panel_bytes = args.panel_bytes;
  const __m512i low = _mm512_set1_epi8(15);
  __m512 total[kRows][kVecs];
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) total[r][v] = _mm512_setzero_ps();
  }
  for (const std::byte* const end = x + layout.levels; x != end;
       x += kQ4Block, w += kBlockBytes, starts += 4) {
    __m512i sum[kRows][kVecs];
    ETTIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m512i start =
          _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(starts + r * x_stride));
      ETTIN_UNROLL
      for (int v = 0; v < kVecs; ++v) sum[r][v] = start;
    }
    const std::byte* groups = w + kWidth * 2;
    if constexpr (kUnpacked) {
      for (int j = 0; j < 8; ++j) {
        __m512i b[kVecs];
        ETTIN_UNROLL
        for (int v = 0; v < kVecs; ++v) {
          b[v] = _mm512_load_si512(groups + v / 2 * panel_bytes + (2 * j + v % 2) * kVectorBytes);
        }
        ETTIN_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const __m512i a =
              _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(x + r * x_stride + 4 * j));
          ETTIN_UNROLL
          for (int v = 0; v < kVecs; ++v) dot_add(sum[r][v], b[v], a);
        }
      }
    } else {
      for (int j = 0; j < 4; ++j) {
        __m512i packed[kVecs];
        ETTIN_UNROLL
        for (int v = 0; v < kVecs; ++v) {
          const std::byte* at = groups + v / 2 * panel_bytes + (2 * j + v % 2) * kVectorBytes;
          packed[v] = _mm512_load_si512(at);
          _mm_prefetch(reinterpret_cast<const char*>(at + kAhead), _MM_HINT_T0);
        }
        ETTIN_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const __m512i a =
              _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(x + r * x_stride + 4 * j));
          ETTIN_UNROLL
          for (int v = 0; v < kVecs; ++v) {
            dot_add(sum[r][v], _mm512_and_si512(packed[v], low), a);
          }
        }
        ETTIN_UNROLL
        for (int v = 0; v < kVecs; ++v) {
          packed[v] = _mm512_and_si512(_mm512_srli_epi16(packed[v], 4), low);
        }
        ETTIN_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const __m512i a =
              _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(x + r * x_stride + 4 * j + 16));
          ETTIN_UNROLL
          for (int v = 0; v < kVecs; ++v) dot_add(sum[r][v], packed[v], a);
        }
      }
    }
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      const __m512 scale = _mm512_cvtph_ps(_mm256_load_si256(
          reinterpret_cast<const __m256i*>(w + v / 2 * panel_bytes + v % 2 * 32)));
      ETTIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        total[r][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][v]), scale, total[r][v]);
      }
    }
  }
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const __m512 row_scale =
        _mm512_set1_ps(*reinterpret_cast<const float*>(args.x + r * x_stride + layout.scale()));
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      _mm512_storeu_ps(args.sums + r * args.sums_stride + v * 16,
                       _mm512_mul_ps(total[r][v], row_scale));
    }
  }
}

int64_t q4_unpacked_bytes(int64_t k) { return (k + kQ4Block - 1) / kQ4Block * kUnpackedBlockBytes; }

void unpack_q4(const std::byte* panel, int64_t k, std::byte* out) {
  const __m512i low = _mm512_set1_epi8(15);
  for (int64_t block = 0; block * kQ4Block < k; ++block) {
    _mm512_store_si512(out, _mm512_load_si512(panel));  // the scales
    const std::byte* from = panel + kWidth * 2;
    std::byte* to = out + kWidth * 2;
    for (int i = 0; i < 8; ++i) {
      const __m512i packed = _mm512_load_si512(from + i * kVectorBytes);
      _mm512_store_si512(to + i * kVectorBytes, _mm512_and_si512(packed, low));
      _mm512_store_si512(to + (i + 8) * kVectorBytes,
                         _mm512_and_si512(_mm512_srli_epi16(packed, 4), low));
    }
    panel += kQ4BlockBytes;
    out += kUnpackedBlockBytes;
  }
}

constexpr int kQ4Rows = 6;
constexpr int most_panels(int rows) { return rows == 2 || rows == 3 ? 2 : 1; }

template <int kRows, int kPanels>
struct Packed {
  static constexpr int kMostPanels = most_panels(kRows);
  static void run(const DotArgs& args) { q4_tile<kRows, kPanels, false>(args); }
};
template <int kRows, int kPanels>
struct Unpacked {
  static constexpr int kMostPanels = most_panels(kRows);
  static void run(const DotArgs& args) { q4_tile<kRows, kPanels, true>(args); }
};
using PackedTiles = TileTable<Packed, kQ4Rows>;
using UnpackedTiles = TileTable<Unpacked, kQ4Rows>;

constexpr DotKernels kQ4 = {kQ4Rows,
                            PackedTiles::panels_at_once,
                            level_row_bytes,
                            prepare_q4,
                            nullptr,
                            PackedTiles::multiply,
                            q4_unpacked_bytes,
                            unpack_q4,
                            UnpackedTiles::multiply};

}  // namespace

const DotKernels& q4_kernels() { return kQ4; }

}  // namespace ettin::cpu::dot

HWY_POP_ATTRIBUTES

#endif  // __x86_64__
