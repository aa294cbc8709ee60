// Tiles of int8: ONNX's MatMulInteger on rows that DynamicQuantizeLinear rounds. With bytes a of a
// row and w of a column, and their zeros A and W,
//
//   sum (a - A)(w - W) = sum s w - W sum s - Z sum (w - W),   s = a - 128, Z = A - 128
//
// where only the first sum needs the tile; the others belong to the row and to the column. All of
// it is exact in 32 bits: (a - A)(w - W) is at most 255 * 255.
#include "backend/cpu/dot_int8.h"

#if defined(__x86_64__)

#include <hwy/base.h>

#include "backend/cpu/dot_common-inl.h"

HWY_PUSH_ATTRIBUTES(ETTIN_AVX512_DOT)

namespace ettin::cpu::dot {
namespace {

constexpr ptrdiff_t kHeaderBytes = 3 * kWidth * 4;  // scales, zeros, sums: cpu/pack.h
constexpr ptrdiff_t kZeros = kWidth * 4, kSums = 2 * kWidth * 4;

// s for every k, then the sum of s, Z, and the scale.
struct ByteRow {
  int64_t levels;
  explicit ByteRow(int64_t k) : levels(round_up(k, 16)) {}
  int64_t sum() const { return levels; }        // int32
  int64_t zero() const { return levels + 4; }   // int32
  int64_t scale() const { return levels + 8; }  // float
  int64_t bytes() const { return padded_stride(levels + 12); }
};

int64_t byte_row_bytes(int64_t k) { return ByteRow(k).bytes(); }

// By the rule of quantize_bytes (tensor/quantize.h).
void prepare_scaled(const float* x, int64_t k, ByteScale scale, std::byte* row) {
  const ByteRow layout(k);
  const bool usable = scale.scale < __builtin_inff();
  const __m512 divisor = _mm512_set1_ps(usable ? scale.scale : 1.0f);
  const __m512 least = _mm512_set1_ps(static_cast<float>(-scale.zero));
  const __m512 most = _mm512_set1_ps(static_cast<float>(255 - scale.zero));
  const __m512i zero = _mm512_set1_epi32(scale.zero - 128);
  __m512i total = _mm512_setzero_si512();
  for (int64_t i = 0; i < layout.levels; i += 16) {
    const int64_t left = k - i;
    const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffffu : (1u << left) - 1);
    const __m512 v = usable ? load_part(x + i, left) : _mm512_setzero_ps();
    const __m512 level = _mm512_min_ps(most, _mm512_max_ps(least, _mm512_div_ps(v, divisor)));
    // What lies beyond k takes no part in any sum.
    const __m512i s = _mm512_maskz_add_epi32(mask, _mm512_cvtps_epi32(level), zero);
    total = _mm512_add_epi32(total, s);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row + i), _mm512_cvtepi32_epi8(s));
  }
  *reinterpret_cast<int32_t*>(row + layout.sum()) = _mm512_reduce_add_epi32(total);
  *reinterpret_cast<int32_t*>(row + layout.zero()) = scale.zero - 128;
  *reinterpret_cast<float*>(row + layout.scale()) = scale.scale;
}

void prepare(const float* x, int64_t k, std::byte* row) {
  __m512 lo = _mm512_setzero_ps(), hi = _mm512_setzero_ps();
  __m512i most = _mm512_setzero_si512();
  for (int64_t i = 0; i < k; i += 16) {
    const __m512 v = load_part(x + i, k - i);
    lo = _mm512_min_ps(lo, v);
    hi = _mm512_max_ps(hi, v);
    most = _mm512_max_epi32(most, _mm512_castps_si512(_mm512_abs_ps(v)));
  }
  constexpr int kInfinity = 0x7f800000;
  const bool finite = _mm512_reduce_max_epi32(most) < kInfinity;
  const float infinity = __builtin_inff();
  prepare_scaled(x, k,
                 byte_scale(finite ? _mm512_reduce_min_ps(lo) : -infinity,
                            finite ? _mm512_reduce_max_ps(hi) : infinity),
                 row);
}

template <int kRows, int kPanels>
HWY_NOINLINE void int8_tile(const DotArgs& args) {
  constexpr int kVecs = 2 * kPanels;
  const ByteRow layout(args.k);
  const std::byte* x = args.x;
  const std::byte* w = args.panels + kHeaderBytes;
  const ptrdiff_t x_stride = args.x_stride, panel_bytes = args.panel_bytes;
  __m512i sum[kRows][kVecs];
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) sum[r][v] = _mm512_setzero_si512();
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
    const std::byte* row = args.x + r * x_stride;
    const __m512i row_sum =
        _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(row + layout.sum()));
    const __m512i row_zero =
        _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(row + layout.zero()));
    const __m512 row_scale = _mm512_set1_ps(*reinterpret_cast<const float*>(row + layout.scale()));
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      const std::byte* header = args.panels + v / 2 * panel_bytes + v % 2 * kVectorBytes;
      const __m512i zeros = _mm512_load_si512(header + kZeros);
      const __m512i sums = _mm512_load_si512(header + kSums);
      __m512i exact = _mm512_sub_epi32(sum[r][v], _mm512_mullo_epi32(zeros, row_sum));
      exact = _mm512_sub_epi32(exact, _mm512_mullo_epi32(sums, row_zero));
      // The scales are multiplied first, as in the graph.
      const __m512 scale = _mm512_mul_ps(row_scale, _mm512_load_ps(header));
      _mm512_storeu_ps(args.sums + r * args.sums_stride + v * 16,
                       _mm512_mul_ps(_mm512_cvtepi32_ps(exact), scale));
    }
  }
}

constexpr int kInt8Rows = 14;
constexpr int most_panels(int rows) { return rows == 1 ? 1 : rows == 2 ? 4 : rows <= 6 ? 2 : 1; }

template <int kRows, int kPanels>
struct Int8 {
  static constexpr int kMostPanels = most_panels(kRows);
  static void run(const DotArgs& args) { int8_tile<kRows, kPanels>(args); }
};
using Int8Tiles = TileTable<Int8, kInt8Rows>;

constexpr DotKernels kInt8 = {kInt8Rows,      Int8Tiles::panels_at_once, byte_row_bytes, prepare,
                              prepare_scaled, Int8Tiles::multiply,       nullptr,        nullptr,
                              nullptr};

}  // namespace

const DotKernels& int8_kernels() { return kInt8; }

}  // namespace ettin::cpu::dot

HWY_POP_ATTRIBUTES

#endif  // __x86_64__
