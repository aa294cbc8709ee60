// Attention of one head over blocks of keys, with a running maximum and sum (Milakov, Gimelshein
// 2018; Dao et al. 2022), for any arithmetic. Included once per instruction set (Highway).
//
// A key's lane is its position modulo the lanes of a vector. Without a window, blocks of kBlock
// keys start at multiples of kBlock of the position; a window of few keys is one block. Keys that a
// query does not see have weight exactly zero, which changes no bit of its sums. So a query's
// result is a function of its position and of the keys it sees, not of the rows computed with it or
// of where the keys came from. (Values must be finite: 0 * inf.)
//
// Math is one way to multiply:
//   Element   what queries, keys, values and weights are stored as
//   kGroup    neighbours that one multiplication sums: the dimensions of a dot product, and keys
//   kDepth    dimensions of a packed key come in multiples of it
//   pack_query, pack_keys, pack_values, soften, multiply: see attention_f32-inl.h
//   reads_rows, score_rows, add_rows: a single query reads keys and values where they lie, and sums
//   in the order of `multiply`, so that it gets the bits that it gets beside others
#if defined(ETTIN_BACKEND_CPU_ATTENTION_CORE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ETTIN_BACKEND_CPU_ATTENTION_CORE_INL_H_
#undef ETTIN_BACKEND_CPU_ATTENTION_CORE_INL_H_
#else
#define ETTIN_BACKEND_CPU_ATTENTION_CORE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "backend/cpu/kernels.h"
#include "backend/cpu/vec-inl.h"
#include "backend/shapes.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {
namespace {

using cpu::AttentionTask;
using cpu::HeadRows;

constexpr int64_t kBlock = 128;          // keys
constexpr int64_t kQueries = 224;        // of one task, at most
constexpr int64_t kWindowQueries = 448;  // of one task with a window, at most
constexpr float kLowest = -3.0e38f;      // running maximum before the first key
constexpr float kLog2E = 1.44269504f;    // scores are powers of two
constexpr int64_t kMostKeys = kWindowQueries + cpu::kWindowKeys + 2 * kLanes;  // of such a task

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
// With a window, tiles start at multiples of their rows: of 16 rows and 16 lanes, 129 + 15 keys
// are whole vectors.
constexpr int64_t kFullRows = 14, kWindowRows = 16;
#elif HWY_ARCH_ARM_A64
constexpr int64_t kFullRows = 12, kWindowRows = 12;
#else
constexpr int64_t kFullRows = 6, kWindowRows = 6;
#endif
constexpr int64_t kValueRows = (kWindowRows + 1) / 2;  // with a window: fewer keys to step over
constexpr int64_t kTileRows = std::max(kFullRows, kWindowRows);
constexpr int64_t kScoreColumns =
    (cpu::kWindowKeys + kTileRows + 3 * kLanes) / kLanes * kLanes;  // of a tile
static_assert(kBlock % kLanes == 0 && kScoreColumns >= kBlock);

// Weights take the place of the scores.
template <class Math>
constexpr int64_t kWeightColumns = kScoreColumns * sizeof(float) / sizeof(typename Math::Element);

// C = A B, or C += A B, for a tile of rows and vectors of columns. Strides count elements.
template <class Element>
struct TileArgs {
  const Element* a;  // [rows, steps * kGroup]
  ptrdiff_t a_stride;
  const Element* b;    // [steps, kLanes, kGroup] for every vector of columns
  ptrdiff_t b_step;    // from one step to the next
  ptrdiff_t b_stride;  // from one vector of columns to the next
  int64_t steps;
  float* c;  // [rows, vectors * kLanes]
  ptrdiff_t c_stride;
};

// Vectors of columns that one tile takes: few rows leave registers free, and more sums at once hide
// the latency of the additions. Sums, the vectors of B and one of A must fit.
constexpr int vectors_at_once(int64_t rows, int64_t left) {
  for (int v = 8; v > 1; v /= 2) {
    if (left >= v && rows * v + v + 1 <= kRegisters) return v;
  }
  return 1;
}

struct Range {
  int64_t first, last;  // [first, last)
};

// The parts of the scratch memory, each a multiple of 64 bytes.
template <class Math>
struct Scratch {
  using Element = typename Math::Element;
  int64_t depth;     // head_dim in whole steps of the packed keys
  int64_t padded;    // head_dim in whole vectors
  Element* queries;  // [kQueries, depth], scaled
  Element* keys;     // panels [kMostKeys / kLanes][depth / kGroup, kLanes, kGroup]
  Element* values;   // [kMostKeys / kGroup, padded, kGroup]
  Element* rows;     // [kLanes, depth]: keys on their way into a panel
  float* scores;     // [kTileRows, kScoreColumns]
  Element* weights;  // [kTileRows, kWeightColumns], in the same place
  float* sums;       // [kQueries, padded]: weighted values
  float* total;      // [kQueries, kLanes]: sum of the weights, by lane
  float* most;       // [kQueries]: largest score so far
  int64_t bytes;     // of all

  Scratch(float* base, int64_t head_dim)
      : depth(round_up(head_dim, Math::kDepth)), padded(round_up(head_dim, kLanes)), bytes(0) {
    const auto take = [&](auto*& part, int64_t count) {
      using Part = std::remove_reference_t<decltype(*part)>;
      char* at = reinterpret_cast<char*>(base) + bytes;
      part = base == nullptr ? nullptr : reinterpret_cast<Part*>(at);
      bytes += round_up(count * static_cast<int64_t>(sizeof(Part)), 64);
    };
    take(queries, kQueries * depth);
    take(keys, kMostKeys * depth);
    take(values, kMostKeys * padded);
    take(rows, kLanes * depth);
    take(scores, kTileRows * kScoreColumns);
    take(sums, kQueries * padded);
    take(total, kQueries * kLanes);
    take(most, kQueries);
    weights = reinterpret_cast<Element*>(scores);
  }
};

// What queries have summed up so far: weighted values, weights, and the largest score.
struct Running {
  float* sums;  // [rows, padded]
  int64_t padded;
  float* total;  // [rows, kLanes]
  float* most;   // [rows]
};

// Keys of the block at `block` that the query at position p sees, counted from the block's start.
inline Range seen_in_block(const AttentionTask& task, int64_t p, int64_t block, int64_t keys) {
  const int64_t first = std::max<int64_t>(0, p - task.spec.left);
  const int64_t last = std::min(task.end_position, p + task.spec.right + 1);
  const int64_t from = std::clamp<int64_t>(first - block, 0, keys);
  return {from, std::clamp<int64_t>(last - block, from, keys)};
}

// Some neighbouring queries with what they have summed up so far.
template <class Math>
struct Tile {
  int64_t row, rows;  // of the task
  typename Math::Element* queries;
  Running running;
};

// Rows [row, row + rows) of the task, in the scratch memory from row `at` on.
template <class Math>
Tile<Math> make_tile(const Scratch<Math>& s, int64_t row, int64_t rows, int64_t at) {
  return {row,
          rows,
          s.queries + at * s.depth,
          {s.sums + at * s.padded, s.padded, s.total + at * kLanes, s.most + at}};
}

// Before the first block.
template <class Math>
void start(const AttentionTask& task, const Scratch<Math>& s, const Tile<Math>& tile) {
  const float factor = kLog2E / std::sqrt(static_cast<float>(task.head_dim));
  for (int64_t r = 0; r < tile.rows; ++r) {
    Math::pack_query(task.queries + (tile.row + r) * task.query_stride, task.head_dim, factor,
                     tile.queries + r * s.depth);
  }
  std::fill_n(tile.running.sums, tile.rows * s.padded, 0.0f);
  std::fill_n(tile.running.total, tile.rows * kLanes, 0.0f);
  std::fill_n(tile.running.most, tile.rows, kLowest);
}

// After the last block.
template <class Math>
void finish(const AttentionTask& task, const Tile<Math>& tile) {
  const FloatTag d;
  const Running& running = tile.running;
  for (int64_t r = 0; r < tile.rows; ++r) {
    const float total = sum_of(hn::Load(d, running.total + r * kLanes));
    if (task.log_sums != nullptr) {
      task.log_sums[(tile.row + r) * task.log_sum_stride] =
          running.most[r] / kLog2E + std::log(total);
    }
    const auto scale = hn::Set(d, 1.0f / total);
    float* out = task.out + (tile.row + r) * task.out_stride;
    for (int64_t c = 0; c < task.head_dim; c += kLanes) {
      store_part(hn::Mul(hn::Load(d, running.sums + r * running.padded + c), scale), out + c,
                 task.head_dim - c);
    }
  }
}

// Keys of one block, packed from position `first` on.
template <class Math>
struct Block {
  int64_t first, count;
  const typename Math::Element* keys;
  const typename Math::Element* values;
};

// Adds one block to the sums of a tile. Values are added for value_rows rows at a time.
template <class Math>
void add_block(const AttentionTask& task, const Scratch<Math>& s, const Tile<Math>& tile,
               const Block<Math>& block, int64_t value_rows) {
  constexpr int64_t G = Math::kGroup;
  Range seen[kTileRows] = {};
  for (int64_t r = 0; r < tile.rows; ++r) {
    seen[r] = seen_in_block(task, task.first_position + tile.row + r, block.first, block.count);
  }
  const Range all = {seen[0].first, seen[tile.rows - 1].last};
  if (all.first >= all.last) return;
  const int64_t origin = all.first / kLanes * kLanes;  // the key of column 0
  const int64_t columns = round_up(all.last, kLanes) - origin;
  Math::template multiply<false>(
      tile.rows, columns / kLanes,
      {tile.queries, s.depth, block.keys + origin * s.depth, kLanes * G, kLanes * s.depth,
       (task.head_dim + G - 1) / G, s.scores, kScoreColumns});
  for (int64_t r = 0; r < tile.rows; ++r) {
    seen[r] = {seen[r].first - origin, seen[r].last - origin};
  }
  Math::soften(tile.rows, seen, columns, s.scores, tile.running);
  for (int64_t r = 0; r < tile.rows; r += value_rows) {
    const int64_t rows = std::min(value_rows, tile.rows - r);
    const int64_t from = seen[r].first / G * G, to = round_up(seen[r + rows - 1].last, G);
    if (from >= to) continue;
    Math::template multiply<true>(
        rows, s.padded / kLanes,
        {s.weights + r * kWeightColumns<Math> + from, kWeightColumns<Math>,
         block.values + (origin + from) * s.padded, s.padded * G, kLanes * G, (to - from) / G,
         tile.running.sums + r * s.padded, s.padded});
  }
}

// All keys that a query sees are one block. Keys are packed just before the first tile that sees
// them: computing hides that rows come from far.
template <class Math>
void attend_window(const AttentionTask& task, const Scratch<Math>& s) {
  const int64_t p0 = task.first_position;
  const int64_t first = std::max<int64_t>(0, p0 - task.spec.left);
  const Block<Math> block = {first / kLanes * kLanes, kMostKeys, s.keys, s.values};
  int64_t packed = first - block.first;
  for (int64_t row = 0, next; row < task.rows; row = next) {
    next = std::min((p0 + row) / kWindowRows * kWindowRows + kWindowRows - p0, task.rows);
    const int64_t last = std::min(task.end_position, p0 + next + task.spec.right) - block.first;
    if (last > packed) {
      // Whole vectors, so that the next tile goes on at the start of one.
      const int64_t to = std::min(round_up(last, kLanes), task.end_position - block.first);
      Math::pack_keys(task, block.first, {packed, to}, s.rows, s.keys, s.depth);
      Math::pack_values(task, block.first, {packed, to}, s.rows, s.values, s.padded);
      packed = to;
    }
    const Tile<Math> tile = make_tile(s, row, next - row, 0);
    start(task, s, tile);
    add_block(task, s, tile, block, kValueRows);
    finish(task, tile);
  }
}

template <class Math>
void attend_all(const AttentionTask& task, const Scratch<Math>& s) {
  using Element = typename Math::Element;
  const int64_t p0 = task.first_position;
  const int64_t first = std::max<int64_t>(0, p0 - task.spec.left);
  const int64_t last = std::min(task.end_position, p0 + task.rows + task.spec.right);
  const int64_t tile_rows = even_part(task.rows, kFullRows);
  start(task, s, make_tile(s, 0, task.rows, 0));
  for (int64_t at = first / kBlock * kBlock; at < last; at += kBlock) {
    Block<Math> block = {at, kBlock, s.keys, s.values};
    if (task.packed.keys != nullptr) {
      const int64_t skipped = at - task.packed.first;
      block.keys = static_cast<const Element*>(task.packed.keys) + skipped * s.depth;
      block.values = static_cast<const Element*>(task.packed.values) + skipped * s.padded;
    } else {
      const Range range = {std::max<int64_t>(0, first - at), std::min(kBlock, last - at)};
      Math::pack_keys(task, at, range, s.rows, s.keys, s.depth);
      Math::pack_values(task, at, range, s.rows, s.values, s.padded);
    }
    for (int64_t row = 0; row < task.rows; row += tile_rows) {
      const int64_t rows = std::min(tile_rows, task.rows - row);
      add_block(task, s, make_tile(s, row, rows, row), block, kFullRows);
    }
  }
  finish(task, make_tile(s, 0, task.rows, 0));
}

// One query over the same blocks: packing for it alone would cost more than it does.
template <class Math>
void attend_one(const AttentionTask& task, const Scratch<Math>& s) {
  const int64_t p = task.first_position;
  const bool window = cpu::is_window(task.spec);
  const int64_t first = std::max<int64_t>(0, p - task.spec.left);
  const int64_t last = std::min(task.end_position, p + task.spec.right + 1);
  const int64_t step = window ? kScoreColumns : kBlock, start_step = window ? kLanes : kBlock;
  const Tile<Math> tile = make_tile(s, 0, 1, 0);
  start(task, s, tile);
  for (int64_t at = first / start_step * start_step; at < last; at += step) {
    Range seen = seen_in_block(task, p, at, step);
    const int64_t origin = seen.first / kLanes * kLanes;
    seen = {seen.first - origin, seen.last - origin};
    Math::score_rows(task, at + origin, seen, tile.queries, s.rows, s.scores);
    Math::soften(1, &seen, round_up(seen.last, kLanes), s.scores, tile.running);
    Math::add_rows(task, at + origin, seen, s.weights, s.rows, tile.running.sums);
  }
  finish(task, tile);
}

template <class Math>
void attend(const AttentionTask& task, float* scratch) {
  const Scratch<Math> s(scratch, task.head_dim);
  if (task.rows == 1 && task.packed.keys == nullptr && Math::reads_rows(task)) {
    attend_one(task, s);
  } else if (cpu::is_window(task.spec)) {
    attend_window(task, s);
  } else {
    attend_all(task, s);
  }
}

template <class Math>
void pack(const AttentionTask& task, int64_t first, int64_t last, float* scratch) {
  using Element = typename Math::Element;
  const Scratch<Math> s(scratch, task.head_dim);
  const Range range = {first - task.packed.first, last - task.packed.first};
  Math::pack_keys(task, task.packed.first, range, s.rows, static_cast<Element*>(task.packed.keys),
                  s.depth);
  Math::pack_values(task, task.packed.first, range, s.rows,
                    static_cast<Element*>(task.packed.values), s.padded);
}

}  // namespace
}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
