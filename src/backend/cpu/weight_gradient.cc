#include "backend/cpu/weight_gradient.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/regions.h"
#include "backend/cpu/scratch.h"
#include "backend/shapes.h"

namespace ettin::cpu {
namespace {

// Tokens of one chain; the sums of all chains are added in order. Long enough that adding costs
// little, short enough that packed chains stay in cache. A constant: the bits depend on it.
constexpr int64_t kChain = 512;
constexpr int64_t kMostPacked = 16 * 1024 * 1024;  // bytes of packed chains at once
constexpr int64_t kTokensOfTask = 64;              // that packs
constexpr int64_t kRowsOfTask = 192;               // that multiplies: with their chain they stay in
                                                   // the second-level cache
constexpr int64_t kTasksPerThread = 16;
constexpr int64_t kPad = 16;  // words: rows a power of two apart would compete for cache lines
constexpr int64_t kFloat = sizeof(float);

}  // namespace

void linear_weight_backward(const TrainingContext& context, ConstView dy, ConstView x,
                            const NormWeight& norm, View d_weight) {
  const int64_t T = x.rows, in = x.cols, out = dy.cols;
  if (T == 0) return;
  const Words words = context.words();
  const int64_t width = context.matrix.panel_width, panels = ceil_div(in, width);
  // Of one chain: panels of x and rows of dy^T.
  const int64_t chain_words = word_count(words, std::min(kChain, T)), stride = chain_words + kPad;
  const int64_t panel_words = chain_words * width;
  const int64_t x_words = panels * panel_words, chain_floats = x_words + round_up(out * stride, 16);
  const int64_t chains = ceil_div(T, kChain);
  const int64_t at_once = std::clamp<int64_t>(kMostPacked / (chain_floats * kFloat), 1, chains);
  auto* const memory = reinterpret_cast<float*>(call_scratch(at_once * chain_floats * kFloat));
  for (int64_t first = 0; first < chains; first += at_once) {
    const int64_t begin = first * kChain, end = std::min(T, (first + at_once) * kChain);
    const int64_t packers = ceil_div(end - begin, kTokensOfTask);
    for_tasks(context.threads, packers, (end - begin) * (in + out), [&](int64_t task) {
      const int64_t token = begin + task * kTokensOfTask;
      const int64_t count = std::min(kTokensOfTask, end - token);
      const int64_t in_chain = word_count(words, token % kChain);
      float* const chain = memory + (token - begin) / kChain * chain_floats;
      const float *x_rows[kTokensOfTask], *dy_rows[kTokensOfTask];
      float* normed = norm ? thread_scratch(count * in) : nullptr;
      for (int64_t r = 0; r < count; ++r) {
        dy_rows[r] = dy.row<float>(token + r);
        x_rows[r] = x.row<float>(token + r);
        if (!norm) continue;
        context.rows.layer_norm(x_rows[r], norm, normed + r * in);
        x_rows[r] = normed + r * in;
      }
      write_panels(context, words, x_rows, count, in, {chain, panel_words, in_chain});
      write_columns(context, words, dy_rows, count, out, {chain + x_words, stride, in_chain});
    });
    const int64_t blocks = ceil_div(out, kRowsOfTask);
    const int64_t wanted = ceil_div(kTasksPerThread * context.threads.size(), blocks);
    const int64_t groups = std::clamp<int64_t>(wanted, 1, ceil_div(panels, 4));
    const int64_t nanoseconds = (end - begin) * in * out / 40;
    for_tasks(context.threads, blocks * groups, nanoseconds, [&](int64_t task) {
      const int64_t block = task / groups, group = task % groups;
      const int64_t row = block * kRowsOfTask;
      LinearTask t;
      t.x_stride = stride * kFloat;
      t.rows = std::min(kRowsOfTask, out - row);
      t.format = context.panel_format();
      t.dot = context.dot;
      t.panel_bytes = panel_words * kFloat;
      t.first_panel = panels * group / groups;
      t.last_panel = panels * (group + 1) / groups;
      t.epilogue = Epilogue::add;
      t.out = d_weight.row<float>(row);
      t.out_stride = d_weight.stride;
      t.out_cols = in;
      for (int64_t token = begin; token < end; token += kChain) {
        const float* chain = memory + (token - begin) / kChain * chain_floats;
        t.in_features = std::min(kChain, end - token);
        t.panels = reinterpret_cast<const std::byte*>(chain);
        t.x = reinterpret_cast<const std::byte*>(chain + x_words + row * stride);
        context.matrix.linear(t, nullptr);  // floats and pairs need no working memory
      }
    });
  }
}

}  // namespace ettin::cpu
