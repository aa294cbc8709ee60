// In two sweeps over the vocabulary, for a block of rows at a time.
//   1. For each range of the vocabulary: logits y = x W^T + b, and of each row the largest m and
//      the sum of e = exp(y - m); e takes the place of y.
//   2. With the log sum s of each row: gradients g = scale (e exp(m - s) - onehot), in cache, then
//      d_weight += g^T x, d_bias += sum of g, and this range's part of dx = g W.
// So a logit is written once and read once. Ranges, their groups, whose parts of dx are added in
// order, and the rows of a block depend on the shapes alone, and so do the bits.
#include "backend/cpu/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/cpu/pack.h"
#include "backend/cpu/regions.h"
#include "backend/cpu/scratch.h"
#include "backend/shapes.h"

namespace ettin::cpu {
namespace {

constexpr int64_t kLogitBytes = 32 * 1024 * 1024;
constexpr int64_t kLeastRows = 64, kMostRows = 512;  // of a block
constexpr int64_t kRange = 512;                      // columns of one range: whole panels
constexpr int64_t kGroups = 32;                      // of ranges: tasks of the second sweep
constexpr int64_t kPad = 16;  // words: rows a power of two apart would compete for cache lines
constexpr int64_t kFloat = sizeof(float);

// Parts of one block of memory.
struct Memory {
  std::byte* base = nullptr;
  int64_t bytes = 0;
  template <class T>
  void take(T*& part, int64_t count) {
    part = base == nullptr ? nullptr : reinterpret_cast<T*>(base + bytes);
    bytes += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
  }
};

class Pass {
 public:
  Pass(const TrainingContext& context, const CrossEntropy& call)
      : context_(context),
        call_(call),
        words_(context.words()),
        backward_(call.dx.data != nullptr),
        V_(call.weight.out_features),
        H_(call.weight.in_features),
        width_(context.matrix.panel_width),
        block_(std::min(call.x.rows,
                        std::clamp(kLogitBytes / (V_ * kFloat) / 16 * 16, kLeastRows, kMostRows))),
        ranges_(ceil_div(V_, kRange)),
        groups_(std::min(kGroups, ranges_)),
        logit_stride_(round_up(V_, 16) + kPad) {
    // Twice: how much, then where.
    Memory memory;
    lay_out(memory);
    memory = {call_scratch(memory.bytes), 0};
    lay_out(memory);
  }

  void run() {
    for (int64_t first = 0; first < call_.x.rows; first += block_) {
      first_ = first;
      rows_ = std::min(block_, call_.x.rows - first);
      prepare_rows();
      sweep(ranges_, [&](int64_t range) { add_range(range); });
      finish_losses();
      if (!backward_) continue;
      sweep(groups_, [&](int64_t group) {
        std::fill_n(dx_part(group), rows_ * H_, 0.0f);
        const int64_t last = ranges_ * (group + 1) / groups_;
        for (int64_t r = ranges_ * group / groups_; r < last; ++r) add_gradients(r, group);
      });
      sum_dx();
    }
  }

 private:
  void lay_out(Memory& memory) {
    row_bytes_ = H_ * kFloat;
    if (context_.dot != nullptr) row_bytes_ = context_.dot->row_bytes(H_);
    memory.take(prepared_, words_ == Words::floats ? 0 : block_ * row_bytes_);
    memory.take(logits_, block_ * logit_stride_);
    memory.take(largest_, ranges_ * block_);
    memory.take(sums_, ranges_ * block_);
    memory.take(log_sums_, block_);
    memory.take(target_logits_, block_);
    if (!backward_) return;
    memory.take(x_panels_, ceil_div(H_, width_) * panel_words());
    memory.take(dx_parts_, groups_ * block_ * H_);
  }

  int64_t panel_words() const { return word_count(words_, block_) * width_; }
  float* dx_part(int64_t group) const { return dx_parts_ + group * block_ * H_; }

  template <class Fn>
  void sweep(int64_t tasks, const Fn& fn) const {
    for_tasks(context_.threads, tasks, rows_ * V_ * H_ / 40, fn);
  }

  // x as both products want it.
  void prepare_rows() {
    constexpr int64_t kAtOnce = 16;  // an even number of rows
    for_tasks(context_.threads, ceil_div(rows_, kAtOnce), rows_ * H_, [&](int64_t task) {
      const int64_t row = task * kAtOnce, count = std::min(kAtOnce, rows_ - row);
      const float* from[kAtOnce];
      for (int64_t r = 0; r < count; ++r) {
        from[r] = call_.x.row<float>(first_ + row + r);
        std::byte* to = prepared_ + (row + r) * row_bytes_;
        if (words_ == Words::pairs) context_.dot->prepare(from[r], H_, to);
        if (words_ == Words::rounded) {
          context_.elements.round_bf16(from[r], H_, reinterpret_cast<float*>(to));
        }
      }
      if (!backward_) return;
      write_panels(context_, words_, from, count, H_,
                   {x_panels_, panel_words(), word_count(words_, row)});
    });
  }

  LinearTask weight_task(const LinearWeight& weight) const {
    LinearTask t;
    t.rows = rows_;
    t.format = weight.format;
    t.dot = context_.dot;
    t.panels = weight.data->data();
    t.panel_bytes = panel_bytes(weight);
    return t;
  }

  void add_range(int64_t range) {
    const int64_t column = range * kRange, columns = std::min(kRange, V_ - column);
    LinearTask t = weight_task(call_.weight);
    t.in_features = H_;
    t.x = prepared_;
    t.x_stride = row_bytes_;
    if (words_ == Words::floats) {
      t.x = reinterpret_cast<const std::byte*>(call_.x.row<float>(first_));
      t.x_stride = call_.x.stride * kFloat;
    }
    t.bias = call_.weight.bias != nullptr ? call_.weight.bias->as<float>() : nullptr;
    t.first_panel = column / width_;
    t.last_panel = ceil_div(column + columns, width_);
    t.out = logits_;
    t.out_stride = logit_stride_;
    t.out_cols = V_;
    context_.matrix.linear(t, thread_scratch(context_.matrix.scratch_floats(t)));
    for (int64_t r = 0; r < rows_; ++r) {
      float* y = logits_ + r * logit_stride_ + column;
      const int64_t target = call_.targets[to_size(first_ + r)] - column;
      if (target >= 0 && target < columns) target_logits_[r] = y[target];
      const ExponentialSum part = context_.elements.exponentials(y, columns);
      largest_[range * block_ + r] = part.largest;
      sums_[range * block_ + r] = part.sum;
    }
  }

  void finish_losses() {
    for_tasks(context_.threads, ceil_div(rows_, 16), rows_ * ranges_ * 4, [&](int64_t task) {
      for (int64_t r = task * 16; r < std::min(rows_, task * 16 + 16); ++r) {
        float most = largest_[r];
        for (int64_t range = 1; range < ranges_; ++range) {
          most = std::max(most, largest_[range * block_ + r]);
        }
        double sum = 0;
        for (int64_t range = 0; range < ranges_; ++range) {
          const double shift = static_cast<double>(largest_[range * block_ + r]) - most;
          sum += sums_[range * block_ + r] * std::exp(shift);
        }
        log_sums_[r] = most + std::log(sum);
        const size_t row = to_size(first_ + r);
        call_.losses[row] = log_sums_[r] - static_cast<double>(target_logits_[r]);
        if (!call_.best.empty()) call_.best[row] = target_logits_[r] >= most ? 1 : 0;
      }
    });
  }

  void add_gradients(int64_t range, int64_t group) {
    const int64_t column = range * kRange, columns = std::min(kRange, V_ - column);
    const int64_t stride = word_count(words_, rows_) + kPad;
    // g^T of this range, and of pairs or rounded numbers g as rows.
    const int64_t g_bytes =
        context_.dot != nullptr ? context_.dot->row_bytes(columns) : (columns + kPad) * kFloat;
    LinearTask to_x = weight_task(call_.transposed);
    to_x.in_features = columns;
    const int64_t room = context_.matrix.scratch_floats(to_x);
    float* const scratch =
        thread_scratch(round_up(room, 16) + round_up(kRange * stride, 16) + rows_ * g_bytes / 4);
    float* const turned = scratch + round_up(room, 16);
    auto* const g = reinterpret_cast<std::byte*>(turned + round_up(kRange * stride, 16));
    std::vector<const float*> y_rows(to_size(rows_));
    for (int64_t r = 0; r < rows_; ++r) {
      float* y = logits_ + r * logit_stride_ + column;
      y_rows[to_size(r)] = y;
      const double shift = static_cast<double>(largest_[range * block_ + r]) - log_sums_[r];
      const double factor = call_.scale * std::exp(shift);
      context_.elements.multiply(y, static_cast<float>(factor), columns, y);
      const int64_t target = call_.targets[to_size(first_ + r)] - column;
      if (target >= 0 && target < columns) {
        const double p = std::exp(static_cast<double>(target_logits_[r]) - log_sums_[r]);
        y[target] = static_cast<float>(call_.scale * (p - 1));
      }
      if (call_.d_bias.data != nullptr) {
        context_.elements.add(y, columns, call_.d_bias.row<float>(0) + column);
      }
      if (words_ == Words::pairs) context_.dot->prepare(y, columns, g + r * g_bytes);
      if (words_ == Words::rounded) {
        context_.elements.round_bf16(y, columns, reinterpret_cast<float*>(g + r * g_bytes));
      }
    }
    write_columns(context_, words_, y_rows.data(), rows_, columns, {turned, stride, 0});
    LinearTask to_weight;
    to_weight.x = reinterpret_cast<const std::byte*>(turned);
    to_weight.x_stride = stride * kFloat;
    to_weight.rows = columns;
    to_weight.in_features = rows_;
    to_weight.format = context_.panel_format();
    to_weight.dot = context_.dot;
    to_weight.panels = reinterpret_cast<const std::byte*>(x_panels_);
    to_weight.panel_bytes = panel_words() * kFloat;
    to_weight.last_panel = ceil_div(H_, width_);
    to_weight.epilogue = Epilogue::add;
    to_weight.out = call_.d_weight.row<float>(column);
    to_weight.out_stride = call_.d_weight.stride;
    to_weight.out_cols = H_;
    context_.matrix.linear(to_weight, nullptr);  // floats and pairs need no working memory
    to_x.x = words_ == Words::floats ? reinterpret_cast<const std::byte*>(y_rows[0]) : g;
    to_x.x_stride = words_ == Words::floats ? logit_stride_ * kFloat : g_bytes;
    // The inner features of this range: whole rows of words in every panel.
    const Words stored = context_.format == WeightFormat::bf16 ? Words::pairs : Words::floats;
    to_x.panels += word_count(stored, column) * width_ * kFloat;
    to_x.last_panel = ceil_div(H_, width_);
    to_x.epilogue = Epilogue::add;
    to_x.out = dx_part(group);
    to_x.out_stride = H_;
    to_x.out_cols = H_;
    context_.matrix.linear(to_x, scratch);
  }

  void sum_dx() {
    for_rows(context_.threads, rows_, H_ * groups_, [&](int64_t r) {
      float* to = call_.dx.row<float>(first_ + r);
      std::copy_n(dx_part(0) + r * H_, H_, to);
      for (int64_t g = 1; g < groups_; ++g) {
        context_.elements.add(dx_part(g) + r * H_, H_, to);
      }
    });
  }

  const TrainingContext& context_;
  const CrossEntropy& call_;
  const Words words_;
  const bool backward_;
  const int64_t V_, H_, width_;
  const int64_t block_;  // rows at once
  const int64_t ranges_, groups_, logit_stride_;
  int64_t row_bytes_ = 0;
  int64_t first_ = 0, rows_ = 0;    // of the block at hand
  std::byte* prepared_ = nullptr;   // [block][row_bytes]: x, unless it is read where it lies
  float* logits_ = nullptr;         // [block, V]: logits, exponentials, then gradients
  float* largest_ = nullptr;        // [ranges, block]
  double* sums_ = nullptr;          // [ranges, block]
  double* log_sums_ = nullptr;      // [block]
  float* target_logits_ = nullptr;  // [block]
  float* x_panels_ = nullptr;       // x as the inner dimension
  float* dx_parts_ = nullptr;       // [groups][block, H]
};

}  // namespace

void cross_entropy(const TrainingContext& context, const CrossEntropy& call) {
  if (call.x.rows > 0) Pass(context, call).run();
}

}  // namespace ettin::cpu
