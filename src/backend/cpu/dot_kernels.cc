// Tiles of bf16 and q8, and the choice of the kernels. Raw intrinsics, because Highway 1.0.3 has
// neither vdpbf16ps nor vpdpbusd.
#include "backend/cpu/dot_kernels.h"

#if defined(__x86_64__)

#include <hwy/base.h>

#include "backend/cpu/dot_int8.h"
#include "backend/cpu/dot_q4.h"
#include "backend/cpu/scratch.h"
#include "tensor/hadamard.h"
#include "tensor/quantize.h"

#include "backend/cpu/dot_common-inl.h"

HWY_PUSH_ATTRIBUTES(ETTIN_AVX512_DOT)

namespace ettin::cpu::dot {
int64_t level_row_bytes(int64_t k) { return LevelRow(k).bytes(); }

// The largest magnitude of a row by its bits, which order numbers as their values do and put
// infinities and NaN above all others.
inline void add(__m512 v, __m512i* most) {
  const __m512i magnitude = _mm512_castps_si512(_mm512_abs_ps(v));
  *most = _mm512_max_epi32(*most, magnitude);
}

// One round of rotate_row inside a vector: pairs `kApart` elements apart.
template <int kApart>
inline __m512 round_inside(__m512 v) {
  __m512 other;
  if constexpr (kApart == 8) other = _mm512_shuffle_f32x4(v, v, 0x4e);
  if constexpr (kApart == 4) other = _mm512_shuffle_f32x4(v, v, 0xb1);
  if constexpr (kApart == 2) other = _mm512_permute_ps(v, 0x4e);
  if constexpr (kApart == 1) other = _mm512_permute_ps(v, 0xb1);
  constexpr __mmask16 kSecond = kApart == 8   ? 0xff00
                                : kApart == 4 ? 0xf0f0
                                : kApart == 2 ? 0xcccc
                                              : 0xaaaa;
  const __m512 sign = _mm512_mask_blend_ps(kSecond, _mm512_set1_ps(1), _mm512_set1_ps(-1));
  return _mm512_fmadd_ps(v, sign, other);  // other + v or other - v, rounded once
}

inline void finish_vector(__m512 v, float* out, __m512i* most) {
  v = round_inside<1>(round_inside<2>(round_inside<4>(round_inside<8>(v))));
  v = _mm512_mul_ps(v, _mm512_set1_ps(0.125f));
  add(v, most);
  _mm512_store_ps(out, v);
}

// rotate_row (tensor/hadamard.h) in its order of operations; may be in place.
__m512i rotate(const float* x, int64_t k, float* out) {
  __m512i most = _mm512_setzero_si512();
  int64_t i = 0;
  for (; i + kRotation <= k; i += kRotation) {
    const __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + 16);
    const __m512 c = _mm512_loadu_ps(x + i + 32), d = _mm512_loadu_ps(x + i + 48);
    const __m512 ac = _mm512_add_ps(a, c), bd = _mm512_add_ps(b, d);
    const __m512 a_c = _mm512_sub_ps(a, c), b_d = _mm512_sub_ps(b, d);
    // One after another: of an array the compiler makes a loop through memory.
    finish_vector(_mm512_add_ps(ac, bd), out + i, &most);
    finish_vector(_mm512_sub_ps(ac, bd), out + i + 16, &most);
    finish_vector(_mm512_add_ps(a_c, b_d), out + i + 32, &most);
    finish_vector(_mm512_sub_ps(a_c, b_d), out + i + 48, &most);
  }
  for (; i < k; i += 16) {
    const __m512 v = load_part(x + i, k - i);
    add(v, &most);
    _mm512_store_ps(out + i, v);
  }
  return most;
}

template <bool kBlockSums, bool kRotated>
void prepare(const float* x, int64_t k, std::byte* row) {
  const LevelRow layout(k);
  __m512i most = _mm512_setzero_si512();
  if constexpr (kRotated) {
    float* rotated = thread_scratch(round_up(k, 16));
    most = rotate(x, k, rotated);
    x = rotated;
  } else {
    for (int64_t i = 0; i < k; i += 16) add(load_part(x + i, k - i), &most);
  }
  constexpr int kInfinity = 0x7f800000, kNan = 0x7fc00000;
  const int bits = _mm512_reduce_max_epi32(most);
  const bool finite = bits < kInfinity, usable = finite && bits > 0;
  float largest;
  __builtin_memcpy(&largest, finite ? &bits : &kNan, sizeof largest);
  const __m512 inverse = _mm512_set1_ps(usable ? 127.0f / largest : 0.0f);
  __m512i total = _mm512_setzero_si512();
  for (int64_t i = 0; i < layout.levels; i += kQ4Block) {
    __m512i sum = _mm512_setzero_si512();
    for (int h = 0; h < 2; ++h) {
      const int64_t left = k - i - 16 * h;
      const __m512 v = left > 0 && usable ? load_part(x + i + 16 * h, left) : _mm512_setzero_ps();
      // To nearest even, then into the range that the rounding of 127 / largest may leave.
      __m512i level = _mm512_cvtps_epi32(_mm512_mul_ps(v, inverse));
      level = _mm512_min_epi32(_mm512_max_epi32(level, _mm512_set1_epi32(-127)),
                               _mm512_set1_epi32(127));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(row + i + 16 * h), _mm512_cvtepi32_epi8(level));
      sum = _mm512_add_epi32(sum, level);
    }
    total = _mm512_add_epi32(total, sum);
    if constexpr (kBlockSums) {
      *reinterpret_cast<int32_t*>(row + layout.block_starts() + i / kQ4Block * 4) =
          -kQ4Zero * _mm512_reduce_add_epi32(sum);
    }
  }
  *reinterpret_cast<int32_t*>(row + layout.row_start()) = -128 * _mm512_reduce_add_epi32(total);
  *reinterpret_cast<float*>(row + layout.scale()) = largest / 127.0f;
}

void prepare_q8(const float* x, int64_t k, std::byte* row) { prepare<false, true>(x, k, row); }
void prepare_q4(const float* x, int64_t k, std::byte* row) { prepare<true, false>(x, k, row); }

namespace {

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

constexpr int kWideRows = 14;
// One row reads its weights as one stream, which memory delivers fastest.
constexpr int most_panels(int rows) { return rows == 1 ? 1 : rows == 2 ? 4 : rows <= 6 ? 2 : 1; }

template <int kRows, int kPanels>
struct Bf16 {
  static constexpr int kMostPanels = most_panels(kRows);
  static void run(const DotArgs& args) { bf16_tile<kRows, kPanels>(args); }
};
template <int kRows, int kPanels>
struct Q8 {
  static constexpr int kMostPanels = most_panels(kRows);
  static void run(const DotArgs& args) { q8_tile<kRows, kPanels>(args); }
};
using Bf16Tiles = TileTable<Bf16, kWideRows>;
using Q8Tiles = TileTable<Q8, kWideRows>;

constexpr DotKernels kBf16 = {kWideRows, Bf16Tiles::panels_at_once, bf16_row_bytes, prepare_bf16,
                              nullptr,   Bf16Tiles::multiply,       nullptr,        nullptr,
                              nullptr};
constexpr DotKernels kQ8 = {kWideRows, Q8Tiles::panels_at_once, level_row_bytes, prepare_q8,
                            nullptr,   Q8Tiles::multiply,       nullptr,         nullptr,
                            nullptr};

}  // namespace
}  // namespace ettin::cpu::dot

HWY_POP_ATTRIBUTES

#endif  // __x86_64__

namespace ettin::cpu {

const DotKernels* dot_kernels([[maybe_unused]] const IsaChoice& isa,
                              [[maybe_unused]] WeightFormat format) {
#if defined(__x86_64__)
  if (format == WeightFormat::bf16 && isa.bf16) return &dot::kBf16;
  if (format == WeightFormat::q8 && isa.vnni) return &dot::kQ8;
  if (format == WeightFormat::q4 && isa.vnni) return &dot::q4_kernels();
  if (format == WeightFormat::int8 && isa.vnni) return &dot::int8_kernels();
#endif
  return nullptr;
}

}  // namespace ettin::cpu
