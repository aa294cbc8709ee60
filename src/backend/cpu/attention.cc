// Attention of one head over blocks of keys, with a running maximum and sum (Milakov, Gimelshein
// 2018; Dao et al. 2022).
//
// Blocks of kBlock keys start at multiples of kBlock of the absolute position, and a key's lane is
// its place in the block. Keys that a query does not see have weight exactly zero, which changes no
// bit of its sums. So a query's result is a function of its position and of the keys it sees, not
// of the rows computed with it or of where the keys came from. (Values must be finite: 0 * inf.)
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/attention.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/cpu/dispatch.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/math-inl.h"
#include "backend/cpu/tile-inl.h"
#include "backend/cpu/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {
namespace {

using cpu::AttentionTask;
using cpu::HeadRows;

constexpr int64_t kBlock = 128;      // keys
constexpr int64_t kQueries = 112;    // at most, of one task
constexpr float kLowest = -3.0e38f;  // running maximum before the first key; never -inf - -inf
static_assert(kBlock % kPanel == 0);

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// The parts of the scratch memory, each a multiple of 64 bytes.
struct Scratch {
  int64_t padded;  // head_dim in whole panels
  float* queries;  // [kQueries, head_dim], scaled
  float* keys;     // panels [kBlock / kPanel][head_dim, kPanel]
  float* values;   // panels [padded / kPanel][kBlock, kPanel]
  float* scores;   // [kTileRows, kBlock]
  float* sums;     // [kQueries, padded]: weighted values
  float* most;     // [kQueries]: largest score so far
  float* total;    // [kQueries]: sum of the weights
  int64_t floats;  // of all

  Scratch(float* base, int64_t head_dim) : padded(round_up(head_dim, kPanel)), floats(0) {
    const auto take = [&](int64_t count) {
      float* part = base == nullptr ? nullptr : base + floats;
      floats += round_up(count, 16);
      return part;
    };
    queries = take(kQueries * head_dim);
    keys = take(kBlock * head_dim);
    values = take(kBlock * padded);
    scores = take(kTileRows * kBlock);
    sums = take(kQueries * padded);
    most = take(kQueries);
    total = take(kQueries);
  }
};

struct Range {
  int64_t first, last;  // [first, last)
};

// Keys of the block at `block` that the query at position p sees, counted from the block's start.
Range seen_in_block(const AttentionTask& task, int64_t p, int64_t block) {
  const int64_t first = std::max<int64_t>(0, p - task.spec.left);
  const int64_t last = std::min(task.end_position, p + task.spec.right + 1);
  const int64_t from = std::clamp<int64_t>(first - block, 0, kBlock);
  return {from, std::clamp<int64_t>(last - block, from, kBlock)};
}

// Packs the keys and values of [range.first, range.last); the panels around them become zero.
void pack_block(const AttentionTask& task, int64_t block, Range range, const Scratch& s) {
  const int64_t D = task.head_dim;
  const float* rows[kPanel];
  for (int64_t p = range.first / kPanel * kPanel; p < range.last; p += kPanel) {
    const int64_t from = std::max(range.first, p), to = std::min(range.last, p + kPanel);
    float* panel = s.keys + p * D;
    if (to - from < kPanel) std::memset(panel, 0, static_cast<size_t>(D * kPanel) * sizeof(float));
    for (int64_t j = from; j < to; ++j) rows[j - from] = task.keys.at(block + j);
    transpose_rows(rows, to - from, D, panel + from - p);
  }
  for (int64_t j = range.first; j < range.last; ++j) {
    const float* v = task.values.at(block + j);
    for (int64_t c = 0; c < s.padded; c += kPanel) {
      float* to = s.values + c * kBlock + j * kPanel;
      const FloatTag d;
      hn::Store(load_part(v + c, std::max<int64_t>(0, D - c)), d, to);
      hn::Store(load_part(v + c + kLanes, std::max<int64_t>(0, D - c - kLanes)), d, to + kLanes);
    }
  }
}

// Turns scores into weights exp(score - maximum), zero where the query does not see the key, in
// the whole vectors of `tile`, and rescales what the row has summed up so far.
void soften_row(float* HWY_RESTRICT scores, Range seen, Range tile, float* HWY_RESTRICT sums,
                int64_t padded, float* most, float* total) {
  const FloatTag d;
  const int64_t begin = tile.first / kLanes * kLanes;
  if (seen.first >= seen.last) {
    for (int64_t j = begin; j < tile.last; j += kLanes) hn::Store(hn::Zero(d), d, scores + j);
    return;
  }
  const auto lane = hn::Iota(d, 0.0f);
  const auto first = hn::Set(d, static_cast<float>(seen.first));
  const auto last = hn::Set(d, static_cast<float>(seen.last));
  const auto visible = [&](int64_t j) HWY_ATTR {
    const auto at = hn::Add(lane, hn::Set(d, static_cast<float>(j)));
    return hn::And(hn::Ge(at, first), hn::Lt(at, last));
  };
  const auto lowest = hn::Set(d, kLowest);
  const int64_t from = seen.first / kLanes * kLanes;
  auto largest = hn::Set(d, *most);
  for (int64_t j = from; j < seen.last; j += kLanes) {
    const auto s = hn::Load(d, scores + j);
    const bool all = j >= seen.first && j + kLanes <= seen.last;
    largest = hn::Max(largest, all ? s : hn::IfThenElse(visible(j), s, lowest));
  }
  const float maximum = largest_of(largest);
  const auto shift = hn::Set(d, maximum);
  auto added = hn::Zero(d);
  for (int64_t j = begin; j < from; j += kLanes) hn::Store(hn::Zero(d), d, scores + j);
  int64_t j = from;
  for (; j < seen.last; j += kLanes) {
    auto w = vec_exp(hn::Sub(hn::Load(d, scores + j), shift));
    const bool all = j >= seen.first && j + kLanes <= seen.last;
    if (!all) w = hn::IfThenElseZero(visible(j), w);
    hn::Store(w, d, scores + j);
    added = hn::Add(added, w);
  }
  for (; j < tile.last; j += kLanes) hn::Store(hn::Zero(d), d, scores + j);
  const auto scale = vec_exp(hn::Set(d, *most - maximum));
  if (maximum != *most) {
    for (int64_t c = 0; c < padded; c += kLanes) {
      hn::Store(hn::Mul(hn::Load(d, sums + c), scale), d, sums + c);
    }
  }
  *total = *total * hn::GetLane(scale) + sum_of(added);
  *most = maximum;
}

void attend(const AttentionTask& task, float* scratch) {
  const FloatTag d;
  const int64_t D = task.head_dim;
  const Scratch s(scratch, D);
  const float factor = 1.0f / std::sqrt(static_cast<float>(D));
  for (int64_t r = 0; r < task.rows; ++r) {
    const float* q = task.queries + r * task.query_stride;
    for (int64_t c = 0; c < D; ++c) s.queries[r * D + c] = q[c] * factor;
    s.most[r] = kLowest;
    s.total[r] = 0;
  }
  std::fill(s.sums, s.sums + task.rows * s.padded, 0.0f);

  const int64_t p0 = task.first_position;
  const int64_t first = std::max<int64_t>(0, p0 - task.spec.left);
  const int64_t last = std::min(task.end_position, p0 + task.rows + task.spec.right);
  const int64_t tile_rows = even_tile_rows(task.rows);
  for (int64_t block = first / kBlock * kBlock; block < last; block += kBlock) {
    pack_block(task, block, {std::max<int64_t>(0, first - block), std::min(kBlock, last - block)},
               s);
    for (int64_t row = 0; row < task.rows; row += tile_rows) {
      const int64_t rows = std::min(tile_rows, task.rows - row);
      const Range tile = {seen_in_block(task, p0 + row, block).first,
                          seen_in_block(task, p0 + row + rows - 1, block).last};
      if (tile.first >= tile.last) continue;
      const int64_t panel = tile.first / kPanel;
      multiply<false>(rows, (tile.last + kPanel - 1) / kPanel - panel,
                      {s.queries + row * D, D, s.keys + panel * kPanel * D, kPanel * D, D,
                       s.scores + panel * kPanel, kBlock});
      for (int64_t r = 0; r < rows; ++r) {
        soften_row(s.scores + r * kBlock, seen_in_block(task, p0 + row + r, block), tile,
                   s.sums + (row + r) * s.padded, s.padded, s.most + row + r, s.total + row + r);
      }
      multiply<true>(rows, s.padded / kPanel,
                     {s.scores + tile.first, kBlock, s.values + tile.first * kPanel,
                      kBlock * kPanel, tile.last - tile.first, s.sums + row * s.padded, s.padded});
    }
  }
  for (int64_t r = 0; r < task.rows; ++r) {
    const auto total = hn::Set(d, s.total[r]);
    for (int64_t c = 0; c < D; c += kLanes) {
      store_part(hn::Div(hn::Load(d, s.sums + r * s.padded + c), total),
                 task.out + r * task.out_stride + c, D - c);
    }
  }
}

int64_t scratch_floats(int64_t head_dim) { return Scratch(nullptr, head_dim).floats; }

}  // namespace

const cpu::AttentionKernels* attention_table() {
  static constexpr cpu::AttentionKernels kTable = {kQueries, scratch_floats, attend};
  return &kTable;
}

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ettin {
HWY_EXPORT(attention_table);

const cpu::AttentionKernels& cpu::attention_kernels(int64_t targets) {
  return *pick(HWY_DISPATCH_TABLE(attention_table), targets)();
}

}  // namespace ettin
#endif
