// The backward of attention in blocks of keys times blocks of queries, as FlashAttention (Dao et
// al. 2022) has it: weights are computed again from the log sums, nothing of length x length is
// kept. With keys k, values v, and of each query q its gradient g of the output and its log sum,
//   P = exp(q k / sqrt D - log_sum), dP = g v, dS = P (dP - g . out),
//   dv = P^T g, dk = dS^T q / sqrt D, dq = dS k / sqrt D.
// Blocks are held transposed, [keys, queries], so that what belongs to a query is a lane, and four
// of the five products read them along their rows. All sums are chains in the order of the queries
// or the keys, over blocks that start at the task's first row.
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/attention_backward.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "backend/cpu/attention_core-inl.h"
#include "backend/cpu/attention_f32-inl.h"
#include "backend/cpu/dispatch.h"
#include "backend/cpu/gradient_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {
namespace {

using cpu::AttentionGradientTask;

// Blocks of the two, so that what a pair needs stays in the second-level cache. With a window, all
// queries that see one of the keys are one block.
constexpr int64_t kKeyBlock = 128, kQueryBlock = 128;
constexpr int64_t kWindowKeyBlock = 64;
static_assert(kQueryBlock % kLanes == 0);
// Weights that a tile reads beside those of the queries that see a key.
constexpr int64_t kBeside = (kTileRows + kLanes - 1) / kLanes * kLanes;

// The product of blocks, which another arithmetic would replace: rows are cut into tiles, and
// clip(row, rows) says which steps (or which vectors of columns) matter to a tile. Columns outside,
// so that what a few columns need of B stays in the first-level cache.
template <bool kAccumulate, bool kTurned, class Clip>
void multiply_steps(int64_t rows, int64_t vectors, const TileArgs<float>& args, const Clip& clip) {
  for (int64_t v = 0; v < vectors;) {
    const int count = vectors_at_once(kFullRows, vectors - v);
    for (int64_t r = 0; r < rows; r += kFullRows) {
      const int64_t taken = std::min(kFullRows, rows - r);
      const Range steps = clip(r, taken);
      if (steps.first >= steps.last) continue;
      TileArgs<float> a = args;
      a.a += kTurned ? r + steps.first * args.a_stride : r * args.a_stride + steps.first;
      a.b += v * args.b_stride + steps.first * args.b_step;
      a.steps = steps.last - steps.first;
      a.c += r * args.c_stride + v * kLanes;
      FloatMath::find<kAccumulate, kTurned>(taken, count)(a);
    }
    v += count;
  }
}

template <class Clip>
void multiply_columns(int64_t rows, const TileArgs<float>& args, const Clip& clip) {
  for (int64_t r = 0; r < rows; r += kFullRows) {
    const int64_t taken = std::min(kFullRows, rows - r);
    const Range columns = clip(r, taken);
    const int64_t first = columns.first / kLanes, last = ceil_div(columns.last, kLanes);
    if (columns.first >= columns.last) continue;
    FloatMath::multiply<false>(
        taken, last - first,
        {args.a + r * args.a_stride, args.a_stride, args.b + first * args.b_stride, args.b_step,
         args.b_stride, args.steps, args.c + r * args.c_stride + first * kLanes, args.c_stride});
  }
}

// Rows of one head: as they are, and as panels [rows / kLanes][depth][kLanes].
struct HeadCopy {
  float* rows;    // [.., padded]
  float* panels;  // or null
};

// The parts of the scratch memory.
struct GradientScratch {
  int64_t padded;   // head_dim in whole vectors
  int64_t queries;  // of the task, in whole vectors
  int64_t key_block, query_block;
  HeadCopy query, upper;      // q, g
  float *log_sums, *deltas;   // [queries]; in powers of two; g . out
  float* out_panel;           // some rows of `out`, transposed
  float* d_query;             // [queries, padded]
  float *key, *value;         // [key_block, padded]
  float *d_key, *d_value;     // the same
  float *weights, *d_scores;  // [key_block, query_block]
  int64_t floats;

  GradientScratch(float* base, const AttentionGradientTask& task)
      : padded(round_up(task.head_dim, kLanes)),
        queries(round_up(task.last_query - task.first_query, kLanes)),
        key_block(kKeyBlock),
        query_block(kQueryBlock),
        floats(0) {
    const auto take = [&](float*& part, int64_t count) {
      part = base == nullptr ? nullptr : base + floats;
      floats += round_up(count, 16);
    };
    if (cpu::is_window(task.spec)) {
      key_block = kWindowKeyBlock;
      // From the start of a vector to the end of another.
      query_block = round_up(key_block + task.spec.left + task.spec.right, kLanes) + kLanes;
    }
    for (HeadCopy* copy : {&query, &upper}) {
      take(copy->rows, queries * padded);
      take(copy->panels, queries * padded);
    }
    take(log_sums, queries);
    take(deltas, queries);
    take(out_panel, kLanes * padded);
    take(d_query, queries * padded);
    for (float** part : {&key, &value, &d_key, &d_value}) take(*part, key_block * padded);
    take(weights, key_block * query_block);
    take(d_scores, key_block * query_block);
  }
};

// out [count, padded] = factor times rows, with zeros behind head_dim.
void copy_rows(const float* from, ptrdiff_t stride, int64_t count, int64_t head_dim, float factor,
               float* out) {
  const FloatTag d;
  const auto f = hn::Set(d, factor);
  const int64_t padded = round_up(head_dim, kLanes);
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t c = 0; c < padded; c += kLanes) {
      const auto v = load_part(from + r * stride + c, head_dim - c);
      hn::Store(hn::Mul(v, f), d, out + r * padded + c);
    }
  }
}

void copy_head(const float* from, ptrdiff_t stride, int64_t count, int64_t head_dim,
               const HeadCopy& to) {
  const int64_t padded = round_up(head_dim, kLanes), whole = round_up(count, kLanes);
  copy_rows(from, stride, count, head_dim, 1, to.rows);
  std::fill(to.rows + count * padded, to.rows + whole * padded, 0.0f);
  for (int64_t r = 0; r < whole; r += kLanes) {
    const float* rows[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) rows[i] = to.rows + (r + i) * padded;
    transpose_rows(rows, kLanes, head_dim, to.panels + r * head_dim, kLanes);
  }
}

void prepare_queries(const AttentionGradientTask& task, const GradientScratch& s) {
  const int64_t first = task.first_query, count = task.last_query - first, D = task.head_dim;
  copy_head(task.queries + first * task.stride, task.stride, count, D, s.query);
  copy_head(task.dy + first * task.dy_stride, task.dy_stride, count, D, s.upper);
  for (int64_t r = 0; r < count; ++r) {
    s.log_sums[r] = task.log_sums[(first + r) * task.log_sum_stride] * kLog2E;
  }
  std::fill(s.log_sums + count, s.log_sums + s.queries, 0.0f);
  // Chains in the order of those of g . v: of a query that sees one key both are the same number,
  // and its scores have no gradient.
  const FloatTag d;
  for (int64_t r = 0; r < s.queries; r += kLanes) {
    const float* rows[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) {
      rows[i] = task.out + (first + std::min(r + i, count - 1)) * task.out_stride;
    }
    transpose_rows(rows, kLanes, D, s.out_panel, kLanes);
    auto sum = hn::Zero(d);
    for (int64_t c = 0; c < D; ++c) {
      const auto g = hn::Load(d, s.upper.panels + r * D + c * kLanes);
      sum = hn::MulAdd(hn::Load(d, s.out_panel + c * kLanes), g, sum);
    }
    hn::Store(sum, d, s.deltas + r);
  }
  std::fill_n(s.d_query, s.queries * s.padded, 0.0f);
}

// The weights of one key's row, from scores (powers of two), and the gradients of the scores, from
// those of the weights; zero beside the queries `seen`, of `queries` in all.
HWY_NOINLINE void finish_scores(Range seen, int64_t queries, const float* HWY_RESTRICT log_sums,
                                const float* HWY_RESTRICT deltas, float* HWY_RESTRICT weights,
                                float* HWY_RESTRICT d_scores) {
  const FloatTag d;
  const int64_t first = seen.first / kLanes * kLanes;
  const int64_t end = std::min(round_up(seen.last, kLanes) + kBeside, queries);
  int64_t c = std::max<int64_t>(0, first - kBeside);
  for (; c < first; c += kLanes) {
    hn::Store(hn::Zero(d), d, weights + c);
    hn::Store(hn::Zero(d), d, d_scores + c);
  }
  for (; c < seen.last; c += kLanes) {
    auto w = power_of_two(hn::Sub(hn::Load(d, weights + c), hn::Load(d, log_sums + c)));
    if (c < seen.first || c + kLanes > seen.last) {
      w = hn::IfThenElseZero(FloatMath::visible(seen, c), w);
    }
    hn::Store(w, d, weights + c);
    const auto part = hn::Sub(hn::Load(d, d_scores + c), hn::Load(d, deltas + c));
    // Of an unseen query the difference is anything, but finite where it was computed.
    hn::Store(hn::Mul(w, part), d, d_scores + c);
  }
  for (; c < end; c += kLanes) {
    hn::Store(hn::Zero(d), d, weights + c);
    hn::Store(hn::Zero(d), d, d_scores + c);
  }
}

// What one block of keys and one of queries, which starts `at` rows behind the task's first, add.
void add_pair(const AttentionGradientTask& task, const GradientScratch& s, int64_t key,
              int64_t keys, int64_t at, int64_t queries) {
  const int64_t D = task.head_dim, vectors = s.padded / kLanes, stride = s.query_block;
  const int64_t query = task.first_query + at;  // of the sequence
  // Queries of the block that see one of these keys, and the keys that one of these queries sees.
  const auto seen_by = [&](int64_t r, int64_t rows) {
    const int64_t first = key + r - task.spec.right - query;
    const int64_t last = key + r + rows + task.spec.left - query;
    const int64_t from = std::clamp<int64_t>(first, 0, queries);
    return Range{from, std::clamp<int64_t>(last, from, queries)};
  };
  const auto sees = [&](int64_t r, int64_t rows) {
    const int64_t first = query + r - task.spec.left - key;
    const int64_t last = query + r + rows + task.spec.right - key;
    const int64_t from = std::clamp<int64_t>(first, 0, keys);
    return Range{from, std::clamp<int64_t>(last, from, keys)};
  };
  const int64_t panel = kLanes * D;
  multiply_columns(keys,
                   {s.key, s.padded, s.query.panels + at * D, kLanes, panel, D, s.weights, stride},
                   seen_by);
  multiply_columns(
      keys, {s.value, s.padded, s.upper.panels + at * D, kLanes, panel, D, s.d_scores, stride},
      seen_by);
  for (int64_t r = 0; r < keys; ++r) {
    finish_scores(seen_by(r, 1), queries, s.log_sums + at, s.deltas + at, s.weights + r * stride,
                  s.d_scores + r * stride);
  }
  multiply_steps<true, false>(
      keys, vectors,
      {s.weights, stride, s.upper.rows + at * s.padded, s.padded, kLanes, 0, s.d_value, s.padded},
      seen_by);
  multiply_steps<true, false>(
      keys, vectors,
      {s.d_scores, stride, s.query.rows + at * s.padded, s.padded, kLanes, 0, s.d_key, s.padded},
      seen_by);
  multiply_steps<true, true>(
      queries, vectors,
      {s.d_scores, stride, s.key, s.padded, kLanes, 0, s.d_query + at * s.padded, s.padded}, sees);
}

// Writes rows [count, padded] times a factor.
void store_rows(const float* from, int64_t padded, int64_t count, int64_t head_dim, float factor,
                float* out, ptrdiff_t stride) {
  const auto f = hn::Set(FloatTag(), factor);
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t c = 0; c < head_dim; c += kLanes) {
      const auto v = hn::Load(FloatTag(), from + r * padded + c);
      store_part(hn::Mul(v, f), out + r * stride + c, head_dim - c);
    }
  }
}

void backward(const AttentionGradientTask& task, float* scratch) {
  const GradientScratch s(scratch, task);
  const int64_t D = task.head_dim, all = task.last_query - task.first_query;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  prepare_queries(task, s);
  for (int64_t key = task.first_key; key < task.last_key; key += s.key_block) {
    const int64_t keys = std::min(s.key_block, task.last_key - key);
    copy_rows(task.keys + key * task.stride, task.stride, keys, D, scale * kLog2E, s.key);
    copy_rows(task.values + key * task.stride, task.stride, keys, D, 1, s.value);
    std::fill_n(s.d_key, keys * s.padded, 0.0f);
    std::fill_n(s.d_value, keys * s.padded, 0.0f);
    const int64_t first = std::max(key - task.spec.right - task.first_query, int64_t{0});
    const int64_t last = std::min(key + keys + task.spec.left - task.first_query, all);
    const int64_t step = cpu::is_window(task.spec) ? kLanes : s.query_block;
    for (int64_t at = first / step * step; at < last; at += s.query_block) {
      add_pair(task, s, key, keys, at, std::min(s.query_block, all - at));
    }
    store_rows(s.d_key, s.padded, keys, D, scale, task.d_keys + key * task.d_stride, task.d_stride);
    store_rows(s.d_value, s.padded, keys, D, 1, task.d_values + key * task.d_stride, task.d_stride);
  }
  // The keys that the sums were taken over were multiplied by log2 e.
  store_rows(s.d_query, s.padded, all, D, 1 / kLog2E, task.d_queries, task.d_query_stride);
}

int64_t scratch_floats(const AttentionGradientTask& task) {
  return GradientScratch(nullptr, task).floats;
}

}  // namespace

const cpu::AttentionGradientKernels* attention_gradient_table() {
  static constexpr cpu::AttentionGradientKernels kTable = {scratch_floats, backward};
  return &kTable;
}

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ettin {
HWY_EXPORT(attention_gradient_table);

const cpu::AttentionGradientKernels& cpu::attention_gradient_kernels(int64_t targets) {
  return *pick(HWY_DISPATCH_TABLE(attention_gradient_table), targets)();
}

}  // namespace ettin
#endif
