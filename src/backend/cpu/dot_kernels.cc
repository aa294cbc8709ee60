// Raw intrinsics, because Highway 1.0.3 has neither vdpbf16ps nor vpdpbusd. Nothing of std:: may be
// instantiated between the attribute marks: such a function, compiled for AVX-512, could be the
// copy that the linker keeps for the whole program.
#include "backend/cpu/dot_kernels.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

#include "tensor/quantize.h"

HWY_PUSH_ATTRIBUTES("avx,avx2,fma,f16c,avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx512bf16")

namespace ettin::cpu {
namespace {

constexpr int kWidth = 32;  // columns of a panel: two vectors
constexpr ptrdiff_t kVectorBytes = 64;
constexpr ptrdiff_t kGroupBytes = 2 * kVectorBytes;  // one 4-byte group of every column
constexpr ptrdiff_t kAhead = 4096;  // prefetch distance, measured best for weights in DRAM
constexpr ptrdiff_t kScaleBytes = kWidth * 4;  // q8: in front of a panel
constexpr ptrdiff_t kQ4BlockBytes = kWidth * 2 + kWidth * kQ4Block / 2;
constexpr ptrdiff_t kUnpackedBlockBytes = kWidth * 2 + kWidth * kQ4Block;

#define ETTIN_UNROLL _Pragma("GCC unroll 32")

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Rows that start a multiple of 4 KiB apart would compete for one set of the first-level cache.
int64_t padded_stride(int64_t bytes) {
  const int64_t whole = round_up(bytes, kVectorBytes);
  return whole % 4096 == 0 ? whole + kVectorBytes : whole;
}

// A row of q8 or q4 activations: levels, then what the tiles start from, then the scale.
struct LevelRow {
  int64_t levels;  // bytes: k in whole blocks
  explicit LevelRow(int64_t k) : levels(round_up(k, kQ4Block)) {}
  int64_t block_starts() const { return levels; }                       // int32 per block: -8 sum
  int64_t row_start() const { return levels + levels / kQ4Block * 4; }  // int32: -128 sum
  int64_t scale() const { return row_start() + 4; }                     // float
  int64_t bytes() const { return padded_stride(scale() + 4); }
};

__m512 load_part(const float* x, int64_t n) {
  if (n >= 16) return _mm512_loadu_ps(x);
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), x);
}

// sum += bytes (unsigned) times levels (signed), four products a lane. The intrinsic makes GCC 12
// move the sums between registers and the stack.
inline void dot_add(__m512i& sum, __m512i bytes, __m512i levels) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(levels));
}

// --- bf16 ----------------------------------------------------------------------------------------

int64_t bf16_row_bytes(int64_t k) { return padded_stride(round_up(k, 16) * 2); }

void prepare_bf16(const float* x, int64_t k, std::byte* row) {
  for (int64_t i = 0; i < k; i += 16) {
    // The instruction of its own would flush subnormal numbers to zero.
    const __m512i u = _mm512_castps_si512(load_part(x + i, k - i));
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_srli_epi32(
        _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    const __m512i magnitude = _mm512_and_si512(u, _mm512_set1_epi32(0x7fffffff));
    const __mmask16 nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
    const __m512i kept = _mm512_or_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(0x40));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + 2 * i),
                        _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, kept)));
  }
}

template <int kRows, int kPanels>
HWY_NOINLINE void bf16_tile(const DotArgs& args) {
  constexpr int kVecs = 2 * kPanels;
  __m512 sum[kRows][kVecs];
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) sum[r][v] = _mm512_setzero_ps();
  }
  const std::byte* x = args.x;
  const std::byte* w = args.panels;
  const ptrdiff_t x_stride = args.x_stride, panel_bytes = args.panel_bytes;
  for (const std::byte* const end = x + (args.k + 1) / 2 * 4; x != end; x += 4, w += kGroupBytes) {
    __m512bh b[kVecs];
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      const std::byte* at = w + v / 2 * panel_bytes + v % 2 * kVectorBytes;
      b[v] = reinterpret_cast<__m512bh>(_mm512_load_si512(at));
      _mm_prefetch(reinterpret_cast<const char*>(at + kAhead), _MM_HINT_T0);
    }
    ETTIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const auto a = reinterpret_cast<__m512bh>(
          _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(x + r * x_stride)));
      ETTIN_UNROLL
      for (int v = 0; v < kVecs; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], a, b[v]);
    }
  }
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      _mm512_storeu_ps(args.sums + r * args.sums_stride + v * 16, sum[r][v]);
    }
  }
}

// --- q8 ------------------------------------------------------------------------------------------

int64_t level_row_bytes(int64_t k) { return LevelRow(k).bytes(); }

// The rule of quantize_q8 (tensor/quantize.h), and the sums that take away the offsets of unsigned
// weights.
void prepare_levels(const float* x, int64_t k, std::byte* row) {
  const LevelRow layout(k);
  __m512 most = _mm512_setzero_ps(), probe = _mm512_setzero_ps();
  for (int64_t i = 0; i < k; i += 16) {
    const __m512 v = load_part(x + i, k - i);
    most = _mm512_max_ps(most, _mm512_abs_ps(v));
    probe = _mm512_add_ps(probe, _mm512_mul_ps(v, _mm512_setzero_ps()));
  }
  const float largest = _mm512_reduce_max_ps(most), finite = _mm512_reduce_add_ps(probe);
  const bool usable = finite == 0 && largest > 0;
  const __m512 inverse = _mm512_set1_ps(usable ? 127.0f / largest : 0.0f);
  int32_t total = 0;
  for (int64_t i = 0; i < layout.levels; i += kQ4Block) {
    __m512i part[2];
    for (int h = 0; h < 2; ++h) {
      const int64_t left = k - i - 16 * h;
      const __m512 v = left > 0 ? load_part(x + i + 16 * h, left) : _mm512_setzero_ps();
      __m512i level = _mm512_cvtps_epi32(_mm512_mul_ps(v, inverse));  // to nearest even
      level = _mm512_min_epi32(_mm512_max_epi32(level, _mm512_set1_epi32(-127)),
                               _mm512_set1_epi32(127));
      part[h] = usable ? level : _mm512_setzero_si512();
      _mm_storeu_si128(reinterpret_cast<__m128i*>(row + i + 16 * h), _mm512_cvtepi32_epi8(part[h]));
    }
    const int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(part[0], part[1]));
    *reinterpret_cast<int32_t*>(row + layout.block_starts() + i / kQ4Block * 4) = -kQ4Zero * sum;
    total += sum;
  }
  *reinterpret_cast<int32_t*>(row + layout.row_start()) = -128 * total;
  *reinterpret_cast<float*>(row + layout.scale()) = finite == 0 ? largest / 127.0f : finite;
}

template <int kRows, int kPanels>
HWY_NOINLINE void q8_tile(const DotArgs& args) {
  constexpr int kVecs = 2 * kPanels;
  const LevelRow layout(args.k);
  const std::byte* x = args.x;
  const std::byte* w = args.panels + kScaleBytes;
  const ptrdiff_t x_stride = args.x_stride, panel_bytes = args.panel_bytes;
  __m512i sum[kRows][kVecs];
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const __m512i start =
        _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(x + r * x_stride + layout.row_start()));
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) sum[r][v] = start;
  }
  for (const std::byte* const end = x + (args.k + 3) / 4 * 4; x != end; x += 4, w += kGroupBytes) {
    __m512i b[kVecs];
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      const std::byte* at = w + v / 2 * panel_bytes + v % 2 * kVectorBytes;
      b[v] = _mm512_load_si512(at);
      _mm_prefetch(reinterpret_cast<const char*>(at + kAhead), _MM_HINT_T0);
    }
    ETTIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m512i a = _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(x + r * x_stride));
      ETTIN_UNROLL
      for (int v = 0; v < kVecs; ++v) dot_add(sum[r][v], b[v], a);
    }
  }
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const __m512 row_scale =
        _mm512_set1_ps(*reinterpret_cast<const float*>(args.x + r * x_stride + layout.scale()));
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      const __m512 scale = _mm512_load_ps(args.panels + v / 2 * panel_bytes + v % 2 * kVectorBytes);
      const __m512 y =
          _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum[r][v]), scale), row_scale);
      _mm512_storeu_ps(args.sums + r * args.sums_stride + v * 16, y);
    }
  }
}

// --- q4 ------------------------------------------------------------------------------------------

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

// --- choice of the tile --------------------------------------------------------------------------

// Sums, two vectors of weights per panel and one of x must fit into 32 registers.
constexpr int64_t wide_panels(int64_t rows, int64_t left) {
  if (left >= 4 && rows <= 2) return 4;
  return left >= 2 && rows <= 6 ? 2 : 1;
}

// q4 holds integer and float sums at once.
constexpr int64_t q4_panels(int64_t rows, int64_t left) {
  if (left >= 4 && rows == 1) return 4;
  return left >= 2 && rows <= 3 ? 2 : 1;
}

int64_t wide_panels_at_once(int64_t rows, int64_t left) { return wide_panels(rows, left); }
int64_t q4_panels_at_once(int64_t rows, int64_t left) { return q4_panels(rows, left); }

constexpr int kWideRows = 14, kQ4Rows = 6;

template <int kRows, int kPanels>
struct Bf16 {
  static void run(const DotArgs& args) { bf16_tile<kRows, kPanels>(args); }
  static constexpr int64_t panels_at_once(int64_t left) { return wide_panels(kRows, left); }
};
template <int kRows, int kPanels>
struct Q8 {
  static void run(const DotArgs& args) { q8_tile<kRows, kPanels>(args); }
  static constexpr int64_t panels_at_once(int64_t left) { return wide_panels(kRows, left); }
};
template <int kRows, int kPanels>
struct Q4 {
  static void run(const DotArgs& args) { q4_tile<kRows, kPanels, false>(args); }
  static constexpr int64_t panels_at_once(int64_t left) { return q4_panels(kRows, left); }
};
template <int kRows, int kPanels>
struct Q4Unpacked {
  static void run(const DotArgs& args) { q4_tile<kRows, kPanels, true>(args); }
  static constexpr int64_t panels_at_once(int64_t left) { return q4_panels(kRows, left); }
};

// Any number of panels, cut into those that one tile takes.
template <template <int, int> class Tile, int kRows>
void multiply(int64_t rows, int64_t panels, const DotArgs& args) {
  if constexpr (kRows > 1) {
    if (rows != kRows) return multiply<Tile, kRows - 1>(rows, panels, args);
  }
  DotArgs a = args;
  while (panels > 0) {
    const int64_t taken = Tile<kRows, 1>::panels_at_once(panels);
    if constexpr (Tile<kRows, 1>::panels_at_once(4) == 4) {
      if (taken == 4) Tile<kRows, 4>::run(a);
    }
    if constexpr (Tile<kRows, 1>::panels_at_once(2) == 2) {
      if (taken == 2) Tile<kRows, 2>::run(a);
    }
    if (taken == 1) Tile<kRows, 1>::run(a);
    a.panels += taken * a.panel_bytes;
    a.sums += taken * kWidth;
    panels -= taken;
  }
}

constexpr DotKernels kBf16 = {kWideRows,
                              wide_panels_at_once,
                              bf16_row_bytes,
                              prepare_bf16,
                              multiply<Bf16, kWideRows>,
                              nullptr,
                              nullptr,
                              nullptr};
constexpr DotKernels kQ8 = {kWideRows,
                            wide_panels_at_once,
                            level_row_bytes,
                            prepare_levels,
                            multiply<Q8, kWideRows>,
                            nullptr,
                            nullptr,
                            nullptr};
constexpr DotKernels kQ4 = {kQ4Rows,
                            q4_panels_at_once,
                            level_row_bytes,
                            prepare_levels,
                            multiply<Q4, kQ4Rows>,
                            q4_unpacked_bytes,
                            unpack_q4,
                            multiply<Q4Unpacked, kQ4Rows>};

}  // namespace
}  // namespace ettin::cpu

HWY_POP_ATTRIBUTES

#endif  // __x86_64__

namespace ettin::cpu {

const DotKernels* dot_kernels([[maybe_unused]] const IsaChoice& isa,
                              [[maybe_unused]] WeightFormat format) {
#if defined(__x86_64__)
  if (format == WeightFormat::bf16 && isa.bf16) return &kBf16;
  if (format == WeightFormat::q8 && isa.vnni) return &kQ8;
  if (format == WeightFormat::q4 && isa.vnni) return &kQ4;
#endif
  return nullptr;
}

}  // namespace ettin::cpu
