// Attention's arithmetic in fp32. Included once per instruction set (Highway).
#if defined(ETTIN_BACKEND_CPU_ATTENTION_F32_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ETTIN_BACKEND_CPU_ATTENTION_F32_INL_H_
#undef ETTIN_BACKEND_CPU_ATTENTION_F32_INL_H_
#else
#define ETTIN_BACKEND_CPU_ATTENTION_F32_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "backend/cpu/attention_core-inl.h"
#include "base/half.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {
namespace {

// Each element of C is one chain of fused multiply-adds in the order of the steps, whatever the
// tile. Raw sums are stored, because GCC 12 keeps them on the stack when code after the loop
// changes them. kTurned: A lies as [steps, rows].
template <int kRows, int kVecs, bool kAccumulate, bool kTurned>
HWY_NOINLINE void attention_tile(const TileArgs<float>& args) {
  const FloatTag d;
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
  const ptrdiff_t a_stride = args.a_stride, b_step = args.b_step, b_stride = args.b_stride;
  const ptrdiff_t a_step = kTurned ? a_stride : 1;
  for (const float* const end = a + args.steps * a_step; a != end; a += a_step, b += b_step) {
    FloatVec w[kVecs];
    ETTIN_UNROLL
    for (int v = 0; v < kVecs; ++v) w[v] = hn::LoadU(d, b + v * b_stride);
    ETTIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const auto x = hn::Set(d, a[kTurned ? r : r * a_stride]);
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

// 2^x for x <= 0: 2^n with n = x rounded, times a polynomial of the rest with fit error 3e-9. Not
// below 2^-125, so that no product is subnormal.
HWY_INLINE FloatVec power_of_two(FloatVec x) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  x = hn::Max(hn::Set(d, -125.0f), x);
  const auto n = hn::Round(x);
  const auto r = hn::Sub(x, n);
  auto p = hn::Set(d, 1.54614447e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.34004282e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 9.61805668e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.55032723e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 2.40226509e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 6.93147207e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(di, n));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
}

struct FloatMath {
  using Element = float;
  static constexpr int64_t kGroup = 1, kDepth = 1;

  template <bool kAccumulate, bool kTurned = false, int kRows = kTileRows>
  static auto find(int64_t rows, int vectors) {
    if constexpr (kRows > 1) {
      if (rows != kRows) return find<kAccumulate, kTurned, kRows - 1>(rows, vectors);
    }
    if constexpr (vectors_at_once(kRows, 8) == 8) {
      if (vectors == 8) return attention_tile<kRows, 8, kAccumulate, kTurned>;
    }
    if constexpr (vectors_at_once(kRows, 4) == 4) {
      if (vectors == 4) return attention_tile<kRows, 4, kAccumulate, kTurned>;
    }
    if constexpr (vectors_at_once(kRows, 2) == 2) {
      if (vectors == 2) return attention_tile<kRows, 2, kAccumulate, kTurned>;
    }
    return attention_tile<kRows, 1, kAccumulate, kTurned>;
  }

  // rows <= kTileRows, any number of vectors of columns.
  template <bool kAccumulate>
  static void multiply(int64_t rows, int64_t vectors, TileArgs<float> args) {
    for (int64_t left = vectors; left > 0;) {
      const int count = vectors_at_once(rows, left);
      find<kAccumulate>(rows, count)(args);
      args.b += count * args.b_stride;
      args.c += count * kLanes;
      left -= count;
    }
  }

  static void pack_query(const float* q, int64_t head_dim, float factor, float* to) {
    for (int64_t c = 0; c < head_dim; ++c) to[c] = q[c] * factor;
  }

  // The row of a position, or a copy in `space` as bf16 holds it.
  static const float* row_at(const AttentionTask& task, const HeadRows& rows, int64_t position,
                             float* space) {
    const bool cached = position < rows.past;
    if (!task.bf16) return cached ? rows.cached(position) : rows.own_at(position);
    for (int64_t c = 0; c < task.head_dim; ++c) {
      space[c] = bf16_to_float(cached ? rows.cached_bf16(position)[c]
                                      : float_to_bf16(rows.own_at(position)[c]));
    }
    return space;
  }

  // Keys [range.first, range.last) of the block at position `block`; the lanes around them are 0.
  static void pack_keys(const AttentionTask& task, int64_t block, Range range, float* space,
                        float* panels, int64_t depth) {
    const float* rows[kLanes];
    for (int64_t p = range.first / kLanes * kLanes; p < range.last; p += kLanes) {
      const int64_t from = std::max(range.first, p), to = std::min(range.last, p + kLanes);
      float* panel = panels + p * depth;
      if (to - from < kLanes) std::fill(panel, panel + depth * kLanes, 0.0f);
      for (int64_t j = from; j < to; ++j) {
        rows[j - from] = row_at(task, task.keys, block + j, space + (j - from) * depth);
      }
      transpose_rows(rows, to - from, depth, panel + from - p, kLanes);
    }
  }

  static void pack_values(const AttentionTask& task, int64_t block, Range range, float* space,
                          float* values, int64_t padded) {
    const FloatTag d;
    const int64_t D = task.head_dim;
    for (int64_t j = range.first; j < range.last; ++j) {
      const float* v = row_at(task, task.values, block + j, space);
      for (int64_t c = 0; c < padded; c += kLanes) {
        hn::Store(load_part(v + c, D - c), d, values + j * padded + c);
      }
    }
  }

  static bool reads_rows(const AttentionTask& task) {
    return !task.bf16 && task.head_dim % kLanes == 0;
  }

  // Scores of the keys `seen` behind position `origin`, in whole vectors; other lanes get anything.
  static void score_rows(const AttentionTask& task, int64_t origin, Range seen, const float* query,
                         float*, float* scores) {
    const HeadRows& keys = task.keys;
    for (int64_t j = seen.first / kLanes * kLanes; j < seen.last; j += kLanes) {
      const int64_t from = std::max(seen.first, j), to = std::min(seen.last, j + kLanes);
      const float* rows[kLanes];
      int64_t slot = (origin + from) % keys.ring_rows;
      for (int64_t i = from; i < to; ++i) {
        rows[i - j] =
            origin + i < keys.past ? keys.ring + slot * keys.ring_stride : keys.own_at(origin + i);
        if (++slot == keys.ring_rows) slot = 0;
      }
      std::fill(rows, rows + (from - j), rows[from - j]);
      std::fill(rows + (to - j), rows + kLanes, rows[from - j]);
      score_vector(rows, query, task.head_dim, scores + j);
    }
  }

  // One score per lane, each a chain over the dimensions.
  HWY_NOINLINE static void score_vector(const float* const* rows, const float* query, int64_t k,
                                        float* scores) {
#if HWY_TARGET != HWY_SCALAR
    constexpr int kFours = static_cast<int>(kLanes / 4);
    const hn::FixedTag<float, 4> d;
    const hn::RepartitionToWide<decltype(d)> dw;
    hn::Vec<decltype(d)> sum[kFours];
    ETTIN_UNROLL
    for (int f = 0; f < kFours; ++f) sum[f] = hn::Zero(d);
    for (int64_t i = 0; i < k; i += 4) {
      const auto q0 = hn::Set(d, query[i]), q1 = hn::Set(d, query[i + 1]);
      const auto q2 = hn::Set(d, query[i + 2]), q3 = hn::Set(d, query[i + 3]);
      ETTIN_UNROLL
      for (int f = 0; f < kFours; ++f) {
        const auto v0 = hn::LoadU(d, rows[4 * f] + i), v1 = hn::LoadU(d, rows[4 * f + 1] + i);
        const auto v2 = hn::LoadU(d, rows[4 * f + 2] + i), v3 = hn::LoadU(d, rows[4 * f + 3] + i);
        const auto lo01 = hn::BitCast(dw, hn::InterleaveLower(d, v0, v1));
        const auto lo23 = hn::BitCast(dw, hn::InterleaveLower(d, v2, v3));
        const auto hi01 = hn::BitCast(dw, hn::InterleaveUpper(d, v0, v1));
        const auto hi23 = hn::BitCast(dw, hn::InterleaveUpper(d, v2, v3));
        sum[f] = hn::MulAdd(q0, hn::BitCast(d, hn::InterleaveLower(dw, lo01, lo23)), sum[f]);
        sum[f] = hn::MulAdd(q1, hn::BitCast(d, hn::InterleaveUpper(dw, lo01, lo23)), sum[f]);
        sum[f] = hn::MulAdd(q2, hn::BitCast(d, hn::InterleaveLower(dw, hi01, hi23)), sum[f]);
        sum[f] = hn::MulAdd(q3, hn::BitCast(d, hn::InterleaveUpper(dw, hi01, hi23)), sum[f]);
      }
    }
    ETTIN_UNROLL
    for (int f = 0; f < kFours; ++f) hn::StoreU(sum[f], d, scores + 4 * f);
#else
    const FloatTag d;
    auto sum = hn::Zero(d);
    for (int64_t i = 0; i < k; ++i) {
      sum = hn::MulAdd(hn::Set(d, query[i]), hn::Set(d, rows[0][i]), sum);
    }
    hn::Store(sum, d, scores);
#endif
  }

  // sums += weights times the values `seen` behind position `origin`.
  static void add_rows(const AttentionTask& task, int64_t origin, Range seen, const float* weights,
                       float*, float* sums) {
    const HeadRows& values = task.values;
    for (int64_t j = seen.first, count; j < seen.last; j += count) {
      const int64_t p = origin + j;
      const bool cached = p < values.past;
      count = seen.last - j;
      if (cached) {
        count = std::min({count, values.past - p, values.ring_rows - p % values.ring_rows});
      }
      multiply<true>(1, task.head_dim / kLanes,
                     {weights + j, 0, cached ? values.cached(p) : values.own_at(p),
                      cached ? values.ring_stride : values.own_stride, kLanes, count, sums, 0});
    }
  }

  // Turns scores of `columns` keys into weights 2^(score - maximum), zero where a query does not
  // see the key, and rescales what the rows have summed up so far.
  HWY_NOINLINE static void soften(int64_t rows, const Range* seen, int64_t columns, float* scores,
                                  Running running) {
    const FloatTag d;
    float shift[kTileRows];
    for (int64_t r = 0; r < rows; ++r) {  // apart from the loop below, so that rows overlap
      const float largest = largest_score(scores + r * kScoreColumns, seen[r], running.most[r]);
      shift[r] = largest;
      if (largest == running.most[r]) continue;
      const auto scale = power_of_two(hn::Set(d, running.most[r] - largest));
      float* total = running.total + r * kLanes;
      float* sums = running.sums + r * running.padded;
      hn::Store(hn::Mul(hn::Load(d, total), scale), d, total);
      for (int64_t c = 0; c < running.padded; c += kLanes) {
        hn::Store(hn::Mul(hn::Load(d, sums + c), scale), d, sums + c);
      }
      running.most[r] = largest;
    }
    for (int64_t r = 0; r < rows; ++r) {
      float* row = scores + r * kScoreColumns;
      const auto most = hn::Set(d, shift[r]);
      const Range keys = seen[r];
      auto added = hn::Load(d, running.total + r * kLanes);
      int64_t j = 0;
      for (; j + kLanes <= keys.first; j += kLanes) hn::Store(hn::Zero(d), d, row + j);
      for (; j < keys.last; j += kLanes) {
        auto w = power_of_two(hn::Sub(hn::Load(d, row + j), most));
        if (j < keys.first || j + kLanes > keys.last) w = hn::IfThenElseZero(visible(keys, j), w);
        hn::Store(w, d, row + j);
        added = hn::Add(added, w);
      }
      for (; j < columns; j += kLanes) hn::Store(hn::Zero(d), d, row + j);
      hn::Store(added, d, running.total + r * kLanes);
    }
  }

  static hn::Mask<FloatTag> visible(Range keys, int64_t j) {
    const FloatTag d;
    const auto at = hn::Add(hn::Iota(d, 0.0f), hn::Set(d, static_cast<float>(j)));
    return hn::And(hn::Ge(at, hn::Set(d, static_cast<float>(keys.first))),
                   hn::Lt(at, hn::Set(d, static_cast<float>(keys.last))));
  }

  static float largest_score(const float* scores, Range keys, float most) {
    const FloatTag d;
    auto largest = hn::Set(d, most);
    for (int64_t j = keys.first / kLanes * kLanes; j < keys.last; j += kLanes) {
      const auto s = hn::Load(d, scores + j);
      const bool whole = j >= keys.first && j + kLanes <= keys.last;
      largest = hn::Max(largest, whole ? s : hn::IfThenElse(visible(keys, j), s, largest));
    }
    return largest_of(largest);
  }
};

}  // namespace
}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
