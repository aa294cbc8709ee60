// Attention's arithmetic with AVX512_BF16: queries, keys, values and weights in bf16, sums and the
// softmax in fp32. Raw intrinsics, because Highway 1.0.3 has no operation for vdpbf16ps. Compiled
// for AVX3 and a few features more, so it may only run after the check in attention.cc, and names
// nothing of the standard library here: a copy of such a function might be the one that the linker
// keeps for the whole program.
//
// vdpbf16ps adds the products of two neighbours to an fp32 sum, so panels hold pairs: a dword of a
// key panel is two dimensions of one key, a dword of a value panel one dimension of two keys.
// Subnormal numbers count as zero, here and in `round`.
#pragma once

#include <immintrin.h>

#include "backend/cpu/attention_core-inl.h"

HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512bf16")
namespace ettin::HWY_NAMESPACE {
namespace {

inline __mmask16 first_lanes(int64_t n) {
  return n <= 0 ? __mmask16{0} : static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1u);
}

// Up to 32 floats, rounded to nearest even; zeros behind them.
inline __m512i round_32(const float* x, int64_t n) {
  const __m512 low = _mm512_maskz_loadu_ps(first_lanes(n), x);
  const __m512 high = _mm512_maskz_loadu_ps(first_lanes(n - 16), x + (n > 16 ? 16 : 0));
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

inline __m512i load_32(const uint16_t* x, int64_t n) {
  return _mm512_maskz_loadu_epi16(n >= 32 ? 0xffffffffu : (1u << n) - 1u, x);
}

HWY_NOINLINE void round_bf16(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; i += 32) {
    const int64_t left = n - i;
    _mm512_mask_storeu_epi16(out + i, left >= 32 ? 0xffffffffu : (1u << left) - 1u,
                             round_32(x + i, left));
  }
}

// Elements [c, c + 32) of a position's row of head_dim elements.
inline __m512i row_part(const HeadRows& rows, int64_t position, int64_t c, int64_t head_dim) {
  const int64_t n = head_dim - c;
  return position < rows.past ? load_32(rows.cached_bf16(position) + c, n)
                              : round_32(rows.own_at(position) + c, n);
}

template <int kRows, int kVecs, bool kAccumulate>
HWY_NOINLINE void pair_tile(const TileArgs<uint16_t>& args) {
  __m512 sum[kRows][kVecs];
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      sum[r][v] =
          kAccumulate ? _mm512_loadu_ps(args.c + r * args.c_stride + v * 16) : _mm512_setzero_ps();
    }
  }
  const uint16_t* a = args.a;
  const uint16_t* b = args.b;
  const ptrdiff_t a_stride = args.a_stride, b_step = args.b_step, b_stride = args.b_stride;
  for (const uint16_t* const end = a + 2 * args.steps; a != end; a += 2, b += b_step) {
    __m512bh w[kVecs];
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      w[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + v * b_stride));
    }
    ETTIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      int pair;
      __builtin_memcpy(&pair, a + r * a_stride, sizeof pair);
      const __m512bh x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      ETTIN_UNROLL
      for (int v = 0; v < kVecs; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], x, w[v]);
    }
  }
  ETTIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      _mm512_storeu_ps(args.c + r * args.c_stride + v * 16, sum[r][v]);
    }
  }
}

// 2^x for x <= 0, with fit error 1e-4: a twentieth of what rounding to bf16 takes away.
inline __m512 rough_power_of_two(__m512 x) {
  const __m512 below = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, below);
  __m512 p = _mm512_set1_ps(0.078967257f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.224693156f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.696324771f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.999900288f));
  return _mm512_scalef_ps(p, below);
}

// Pairs of two rows: of their first 16 dimensions, of their last 16.
struct PairOrder {
  __m512i first, last;
  PairOrder() {
    alignas(64) uint16_t order[2][32];
    for (int i = 0; i < 32; ++i) {
      order[0][i] = static_cast<uint16_t>(i / 2 + i % 2 * 32);
      order[1][i] = static_cast<uint16_t>(i / 2 + i % 2 * 32 + 16);
    }
    first = _mm512_load_si512(order[0]);
    last = _mm512_load_si512(order[1]);
  }
  __m512i low(__m512i even, __m512i odd) const {
    return _mm512_permutex2var_epi16(even, first, odd);
  }
  __m512i high(__m512i even, __m512i odd) const {
    return _mm512_permutex2var_epi16(even, last, odd);
  }
};

struct PairMath {
  using Element = uint16_t;
  static constexpr int64_t kGroup = 2, kDepth = 32;

  template <bool kAccumulate, int kRows = kTileRows>
  static auto find(int64_t rows, int vectors) {
    if constexpr (kRows > 1) {
      if (rows != kRows) return find<kAccumulate, kRows - 1>(rows, vectors);
    }
    if constexpr (vectors_at_once(kRows, 8) == 8) {
      if (vectors == 8) return pair_tile<kRows, 8, kAccumulate>;
    }
    if constexpr (vectors_at_once(kRows, 4) == 4) {
      if (vectors == 4) return pair_tile<kRows, 4, kAccumulate>;
    }
    if constexpr (vectors_at_once(kRows, 2) == 2) {
      if (vectors == 2) return pair_tile<kRows, 2, kAccumulate>;
    }
    return pair_tile<kRows, 1, kAccumulate>;
  }

  template <bool kAccumulate>
  static void multiply(int64_t rows, int64_t vectors, TileArgs<uint16_t> args) {
    for (int64_t left = vectors; left > 0;) {
      const int count = vectors_at_once(rows, left);
      find<kAccumulate>(rows, count)(args);
      args.b += count * args.b_stride;
      args.c += count * 16;
      left -= count;
    }
  }

  static void pack_query(const float* q, int64_t head_dim, float factor, uint16_t* to) {
    const __m512 scale = _mm512_set1_ps(factor);
    for (int64_t c = 0; c < head_dim; c += 32) {
      const int64_t n = head_dim - c;
      const __m512 low = _mm512_maskz_loadu_ps(first_lanes(n), q + c);
      const __m512 high = _mm512_maskz_loadu_ps(first_lanes(n - 16), q + c + (n > 16 ? 16 : 0));
      const __m512bh pairs =
          _mm512_cvtne2ps_pbh(_mm512_mul_ps(high, scale), _mm512_mul_ps(low, scale));
      _mm512_storeu_si512(to + c, reinterpret_cast<__m512i>(pairs));
    }
  }

  static void pack_keys(const AttentionTask& task, int64_t block, Range range, uint16_t* space,
                        uint16_t* panels, int64_t depth) {
    for (int64_t p = range.first / 16 * 16; p < range.last; p += 16) {
      const uint16_t* rows[16];
      for (int64_t i = 0; i < 16; ++i) {
        const int64_t position = block + p + i;
        uint16_t* copy = space + i * depth;
        rows[i] = copy;
        const bool wanted = p + i >= range.first && p + i < range.last;
        if (wanted && position < task.keys.past && task.head_dim == depth) {
          rows[i] = task.keys.cached_bf16(position);
          continue;
        }
        for (int64_t c = 0; c < depth; c += 32) {
          _mm512_storeu_si512(copy + c, wanted ? row_part(task.keys, position, c, task.head_dim)
                                               : _mm512_setzero_si512());
        }
      }
      transpose(rows, depth, panels + p * depth);
    }
  }

  // Four dwords of 16 rows to 16 lanes: lane c of to[i] is dword i of row c.
  template <class At>
  static __attribute__((always_inline)) void transpose_square(const At& at, __m512i* to) {
    __m512i x[4];
    ETTIN_UNROLL
    for (int i = 0; i < 4; ++i) {
      x[i] = _mm512_castsi128_si512(at(i));
      x[i] = _mm512_mask_broadcast_i32x4(x[i], 0x00f0, at(i + 4));
      x[i] = _mm512_mask_broadcast_i32x4(x[i], 0x0f00, at(i + 8));
      x[i] = _mm512_mask_broadcast_i32x4(x[i], 0xf000, at(i + 12));
    }
    const __m512i low01 = _mm512_unpacklo_epi32(x[0], x[1]);
    const __m512i low23 = _mm512_unpacklo_epi32(x[2], x[3]);
    const __m512i high01 = _mm512_unpackhi_epi32(x[0], x[1]);
    const __m512i high23 = _mm512_unpackhi_epi32(x[2], x[3]);
    to[0] = _mm512_unpacklo_epi64(low01, low23);
    to[1] = _mm512_unpackhi_epi64(low01, low23);
    to[2] = _mm512_unpacklo_epi64(high01, high23);
    to[3] = _mm512_unpackhi_epi64(high01, high23);
  }

  // panel[k / 2 * 32 + c * 2 + k % 2] = rows[c][k]; k in whole squares of 16 x 16 dwords.
  HWY_NOINLINE static void transpose(const uint16_t* const* rows, int64_t depth, uint16_t* panel) {
    for (int64_t k = 0; k < depth; k += 8) {
      const auto at = [&](int row) __attribute__((always_inline)) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row] + k));
      };
      __m512i to[4];
      transpose_square(at, to);
      ETTIN_UNROLL
      for (int i = 0; i < 4; ++i) _mm512_storeu_si512(panel + k * 16 + 32 * i, to[i]);
    }
  }

  static void pack_values(const AttentionTask& task, int64_t block, Range range, uint16_t*,
                          uint16_t* values, int64_t padded) {
    const PairOrder order;
    const int64_t D = task.head_dim;
    for (int64_t j = range.first / 2 * 2; j < range.last; j += 2) {
      const bool has_even = j >= range.first, has_odd = j + 1 < range.last;
      uint16_t* to = values + j * padded;
      for (int64_t c = 0; c < padded; c += 32) {
        const __m512i none = _mm512_setzero_si512();
        const __m512i even = has_even ? row_part(task.values, block + j, c, D) : none;
        const __m512i odd = has_odd ? row_part(task.values, block + j + 1, c, D) : none;
        _mm512_storeu_si512(to + c * 2, order.low(even, odd));
        if (c + 16 >= padded) break;
        _mm512_storeu_si512(to + c * 2 + 32, order.high(even, odd));
      }
    }
  }

  static bool reads_rows(const AttentionTask& task) { return task.head_dim % kDepth == 0; }

  // Rows of `count` positions from p on, in the cache if they lie there one after another, else
  // copied; rows outside [first, last) are zero.
  struct Rows {
    const uint16_t* at;
    ptrdiff_t stride;
  };
  static Rows gather(const HeadRows& rows, int64_t p, int64_t count, int64_t first, int64_t last,
                     int64_t head_dim, uint16_t* space) {
    if (p >= first && p + count <= last && p + count <= rows.past &&
        p % rows.ring_rows + count <= rows.ring_rows) {
      return {rows.cached_bf16(p), rows.ring_stride};
    }
    for (int64_t i = 0; i < count; ++i) {
      const bool wanted = p + i >= first && p + i < last;
      for (int64_t c = 0; c < head_dim; c += 32) {
        _mm512_storeu_si512(space + i * head_dim + c,
                            wanted ? row_part(rows, p + i, c, head_dim) : _mm512_setzero_si512());
      }
    }
    return {space, head_dim};
  }

  static void score_rows(const AttentionTask& task, int64_t origin, Range seen,
                         const uint16_t* query, uint16_t* space, float* scores) {
    const int64_t first = origin + seen.first, last = origin + seen.last;
    for (int64_t j = seen.first / 16 * 16; j < seen.last; j += 16) {
      const Rows rows = gather(task.keys, origin + j, 16, first, last, task.head_dim, space);
      score_16(rows, query, task.head_dim, scores + j);
    }
  }

  // Each lane is a chain over pairs of dimensions of one key.
  HWY_NOINLINE static void score_16(Rows rows, const uint16_t* query, int64_t depth,
                                    float* scores) {
    const ptrdiff_t stride = rows.stride;
    const uint16_t* quarters[4];  // rows 0, 4, 8, 12
    ETTIN_UNROLL
    for (int i = 0; i < 4; ++i) quarters[i] = rows.at + 4 * i * stride;
    __m512 sum = _mm512_setzero_ps();
    for (int64_t k = 0; k < depth; k += 8) {
      const auto at = [&](int row) __attribute__((always_inline)) {
        const uint16_t* from = quarters[row / 4] + row % 4 * stride + k;
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      };
      __m512i keys[4];
      transpose_square(at, keys);
      ETTIN_UNROLL
      for (int i = 0; i < 4; ++i) {
        int pair;
        __builtin_memcpy(&pair, query + k + 2 * i, sizeof pair);
        sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)),
                               reinterpret_cast<__m512bh>(keys[i]));
      }
    }
    _mm512_storeu_ps(scores, sum);
  }

  static void add_rows(const AttentionTask& task, int64_t origin, Range seen,
                       const uint16_t* weights, uint16_t* space, float* sums) {
    const HeadRows& values = task.values;
    const int64_t first = origin + seen.first, last = origin + seen.last, D = task.head_dim;
    for (int64_t j = seen.first / 2 * 2, count; j < seen.last; j += count) {
      const int64_t p = origin + j;
      count = 2;
      Rows rows;
      if (p >= first) {  // whole pairs before the end of the cache, of the ring, of what is seen
        int64_t end = p - p % values.ring_rows + values.ring_rows;
        if (end > values.past) end = values.past;
        if (end > last) end = last;
        if (end - p > 2) count = (end - p) / 2 * 2;
      }
      rows = gather(values, p, count, first, last, D, space);
      for (int64_t c = 0; c < D; c += c + 64 <= D ? 64 : 32) {
        const Rows part = {rows.at + c, rows.stride};
        if (c + 64 <= D) {
          add_pairs<2>(part, count, weights + j, sums + c);
        } else {
          add_pairs<1>(part, count, weights + j, sums + c);
        }
      }
    }
  }

  // 32 * kParts dimensions of `count` values, in pairs as `pack_values` makes them.
  template <int kParts>
  HWY_NOINLINE static void add_pairs(Rows rows, int64_t count, const uint16_t* weights,
                                     float* sums) {
    const PairOrder order;
    __m512 sum[2 * kParts];
    ETTIN_UNROLL
    for (int v = 0; v < 2 * kParts; ++v) sum[v] = _mm512_loadu_ps(sums + v * 16);
    const uint16_t* even = rows.at;
    for (int64_t i = 0; i < count; i += 2, even += 2 * rows.stride) {
      const uint16_t* odd = even + rows.stride;
      int pair;
      __builtin_memcpy(&pair, weights + i, sizeof pair);
      const __m512bh w = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      ETTIN_UNROLL
      for (int v = 0; v < kParts; ++v) {
        const __m512i a = _mm512_loadu_si512(even + 32 * v), b = _mm512_loadu_si512(odd + 32 * v);
        sum[2 * v] = _mm512_dpbf16_ps(sum[2 * v], w, reinterpret_cast<__m512bh>(order.low(a, b)));
        sum[2 * v + 1] =
            _mm512_dpbf16_ps(sum[2 * v + 1], w, reinterpret_cast<__m512bh>(order.high(a, b)));
      }
    }
    ETTIN_UNROLL
    for (int v = 0; v < 2 * kParts; ++v) _mm512_storeu_ps(sums + v * 16, sum[v]);
  }

  // The lanes of the vector at j that lie in `keys`.
  static __mmask16 visible(Range keys, int64_t j) {
    if (j >= keys.first && j + 16 <= keys.last) return 0xffff;
    return static_cast<__mmask16>(first_lanes(keys.last - j) & ~first_lanes(keys.first - j));
  }

  // The weights are summed as the values see them, after rounding: by vdpbf16ps with ones. They
  // take the place of the scores, never ahead of those still needed.
  HWY_NOINLINE static void soften(int64_t rows, const Range* seen, int64_t columns, float* scores,
                                  Running running) {
    float shift[kTileRows];
    for (int64_t r = 0; r < rows; ++r) {  // apart from the loop below, so that rows overlap
      const float* row = scores + r * kScoreColumns;
      __m512 largest = _mm512_set1_ps(running.most[r]);
      for (int64_t j = seen[r].first / 16 * 16; j < seen[r].last; j += 16) {
        largest =
            _mm512_mask_max_ps(largest, visible(seen[r], j), largest, _mm512_loadu_ps(row + j));
      }
      shift[r] = _mm512_reduce_max_ps(largest);
      if (shift[r] == running.most[r]) continue;
      const __m512 scale = rough_power_of_two(_mm512_set1_ps(running.most[r] - shift[r]));
      float* total = running.total + r * 16;
      float* sums = running.sums + r * running.padded;
      _mm512_storeu_ps(total, _mm512_mul_ps(_mm512_loadu_ps(total), scale));
      for (int64_t c = 0; c < running.padded; c += 16) {
        _mm512_storeu_ps(sums + c, _mm512_mul_ps(_mm512_loadu_ps(sums + c), scale));
      }
      running.most[r] = shift[r];
    }
    const __m256bh ones = reinterpret_cast<__m256bh>(_mm256_set1_epi16(0x3f80));
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = scores + r * kScoreColumns;
      auto* weights = reinterpret_cast<__m256i*>(scores + r * kScoreColumns);
      const __m512 most = _mm512_set1_ps(shift[r]);
      const Range keys = seen[r];
      __m256 added = _mm256_loadu_ps(running.total + r * 16);  // the other eight lanes stay 0
      int64_t j = 0;
      for (; j + 16 <= keys.first; j += 16) {
        _mm256_storeu_si256(weights + j / 16, _mm256_setzero_si256());
      }
      for (; j < keys.last; j += 16) {
        const __m512 w = rough_power_of_two(_mm512_sub_ps(_mm512_loadu_ps(row + j), most));
        const __m256bh near = _mm512_maskz_cvtneps_pbh(visible(keys, j), w);
        _mm256_storeu_si256(weights + j / 16, reinterpret_cast<__m256i>(near));
        added = _mm256_dpbf16_ps(added, near, ones);
      }
      for (; j < columns; j += 16) {
        _mm256_storeu_si256(weights + j / 16, _mm256_setzero_si256());
      }
      _mm256_storeu_ps(running.total + r * 16, added);
    }
  }
};

}  // namespace
}  // namespace ettin::HWY_NAMESPACE
HWY_POP_ATTRIBUTES
