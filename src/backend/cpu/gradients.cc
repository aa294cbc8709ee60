#include "backend/cpu/gradients.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/attention_gradients.h"
#include "backend/cpu/attention_tasks.h"
#include "backend/cpu/cross_entropy.h"
#include "backend/cpu/gradient_kernels.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/operands.h"
#include "backend/cpu/regions.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/weight_gradient.h"
#include "backend/dropout.h"
#include "backend/gradient_shapes.h"

namespace ettin::cpu {
namespace {

constexpr int64_t kColumnsOfTask = 64;  // where rows are added up in order
constexpr int64_t kRowsOfSum = 64;      // layer_norm_backward: rows of one partial sum
constexpr int64_t kActivation = 8;      // times as long as reading and writing an element

class CpuGradients final : public Gradients {
 public:
  CpuGradients(const IsaChoice& isa, WeightFormat format, ThreadPool& threads)
      : elements_(element_kernels(isa.targets)),
        rows_(row_kernels(isa.targets)),
        attention_(attention_kernels(isa, /*bf16=*/false)),
        attention_backward_(attention_gradient_kernels(isa.targets)),
        context_{format, dot_kernels(isa, format), matrix_kernels(isa.targets), rows_, elements_,
                 threads},
        threads_(threads) {}

  void pack(ConstView master, ConstView bias, LinearWeight* weight,
            LinearWeight* transposed) const override {
    check({master});
    check_shape_or_empty(bias, 1, master.rows);
    pack_master(context_, master, bias, weight, transposed);
  }

  void pack(ConstView gain, ConstView bias, double eps, NormWeight* norm) const override {
    check_shape(gain, 1, gain.cols);
    check_shape_or_empty(bias, 1, gain.cols);
    norm->size = gain.cols;
    norm->eps = eps;
    copy_row(gain, &norm->gain);
    copy_row(bias, &norm->bias);
  }

  void embed(ConstView table, std::span<const int32_t> ids, View out) const override {
    check({table, out});
    check_shape(out, static_cast<int64_t>(ids.size()), table.cols);
    for_rows(threads_, out.rows, out.cols, [&](int64_t t) {
      const int64_t id = ids[to_size(t)];
      ETTIN_CHECK(id >= 0 && id < table.rows);
      std::memcpy(out.row<float>(t), table.row<float>(id), to_size(out.cols) * sizeof(float));
    });
  }

  void attention(ConstView qkv, std::span<const int64_t> starts, AttentionSpec spec, int64_t heads,
                 View out, View log_sums) const override {
    check({qkv, out, log_sums});
    check_attention(qkv, starts, spec, heads, {}, out);
    check_shape(log_sums, qkv.rows, heads);
    run_attention(attention_, threads_, {qkv, starts, spec, heads, {}, false, out, log_sums});
  }

  void gate(ConstView x, Activation activation, View out) const override {
    check({x, out});
    const int64_t I = out.cols;
    check_shape(x, out.rows, 2 * I);
    for_rows(threads_, x.rows, kActivation * I, [&](int64_t t) {
      const float* u = x.row<float>(t);
      elements_.gate(activation, u, u + I, I, out.row<float>(t));
    });
  }

  void activate(ConstView x, Activation activation, View out) const override {
    check({x, out});
    check_shape(out, x.rows, x.cols);
    for_rows(threads_, x.rows, kActivation * x.cols, [&](int64_t t) {
      rows_.activate(activation, x.row<float>(t), x.cols, out.row<float>(t));
    });
  }

  void dropout(ConstView x, const Dropout& dropout, Epilogue store_or_add,
               View out) const override {
    check({x, out});
    check_dropout(x, dropout, store_or_add, out);
    const uint32_t threshold = dropout_threshold(dropout.rate);
    const auto scale = static_cast<float>(1 / (1 - dropout.rate));
    for_rows(threads_, x.rows, 2 * x.cols, [&](int64_t t) {
      const uint64_t key = dropout_key(dropout.row_keys[to_size(t)], dropout.stream);
      elements_.dropout(key, threshold, scale, x.row<float>(t), x.cols,
                        store_or_add == Epilogue::add, out.row<float>(t));
    });
  }

  void linear_weight_backward(ConstView dy, ConstView x, const NormWeight& norm,
                              View d_weight) const override {
    check({dy, x, d_weight});
    ETTIN_CHECK(dy.rows == x.rows && (!norm || norm.size == x.cols));
    check_shape(d_weight, dy.cols, x.cols);
    cpu::linear_weight_backward(context_, dy, x, norm, d_weight);
  }

  void linear_bias_backward(ConstView dy, View d_bias) const override {
    check({dy, d_bias});
    check_shape(d_bias, 1, dy.cols);
    for_columns(dy.rows, dy.cols, [&](int64_t first, int64_t n) {
      for (int64_t t = 0; t < dy.rows; ++t) {
        elements_.add(dy.row<float>(t) + first, n, d_bias.row<float>(0) + first);
      }
    });
  }

  void layer_norm_backward(ConstView x, const NormWeight& norm, ConstView dy, Epilogue store_or_add,
                           View dx, View d_gain, View d_bias) const override {
    check({x, dy, dx, d_gain});
    check_store_or_add(store_or_add);
    const int64_t H = x.cols;
    ETTIN_CHECK(norm.size == H);
    check_shape(dy, x.rows, H);
    check_shape(dx, x.rows, H);
    check_shape(d_gain, 1, H);
    check_shape_or_empty(d_bias, 1, H);
    const int64_t blocks = ceil_div(x.rows, kRowsOfSum), stride = round_up(H, 16);
    const bool biased = d_bias.data != nullptr;
    auto* const sums = reinterpret_cast<float*>(
        call_scratch(blocks * 2 * stride * static_cast<int64_t>(sizeof(float))));
    for_tasks(threads_, blocks, x.rows * H, [&](int64_t block) {
      float* gain = sums + block * 2 * stride;
      std::fill_n(gain, 2 * stride, 0.0f);
      const NormGradient gradient = {gain, biased ? gain + stride : nullptr};
      const int64_t end = std::min(x.rows, (block + 1) * kRowsOfSum);
      for (int64_t t = block * kRowsOfSum; t < end; ++t) {
        elements_.layer_norm_backward(x.row<float>(t), norm, dy.row<float>(t),
                                      store_or_add == Epilogue::add, dx.row<float>(t), gradient);
      }
    });
    for (int64_t block = 0; block < blocks; ++block) {
      const float* gain = sums + block * 2 * stride;
      elements_.add(gain, H, d_gain.row<float>(0));
      if (biased) elements_.add(gain + stride, H, d_bias.row<float>(0));
    }
  }

  void gate_backward(ConstView x, Activation activation, ConstView dy, View dx) const override {
    check({x, dy, dx});
    const int64_t I = dy.cols;
    check_shape(x, dy.rows, 2 * I);
    check_shape(dx, dy.rows, 2 * I);
    for_rows(threads_, x.rows, kActivation * I, [&](int64_t t) {
      const float* u = x.row<float>(t);
      float* d = dx.row<float>(t);
      elements_.gate_backward(activation, u, u + I, dy.row<float>(t), I, d, d + I);
    });
  }

  void activate_backward(ConstView x, Activation activation, ConstView dy, View dx) const override {
    check({x, dy, dx});
    check_shape(dy, x.rows, x.cols);
    check_shape(dx, x.rows, x.cols);
    for_rows(threads_, x.rows, kActivation * x.cols, [&](int64_t t) {
      elements_.activate_backward(activation, x.row<float>(t), dy.row<float>(t), x.cols,
                                  dx.row<float>(t));
    });
  }

  void rope_backward(View d_qkv, std::span<const int32_t> positions, const RopeTable& table,
                     int64_t heads) const override {
    check({d_qkv});
    const int64_t D = table.head_dim, half = D / 2;
    ETTIN_CHECK(d_qkv.cols == 3 * heads * D && to_size(d_qkv.rows) == positions.size());
    for_rows(threads_, d_qkv.rows, 2 * heads * D, [&](int64_t t) {
      const int64_t p = positions[to_size(t)];
      ETTIN_CHECK(p >= 0 && p < table.positions);
      const float* cos = table.cos->as<float>() + p * half;
      // The inverse of a rotation turns by the negative angle.
      float* sin = thread_scratch(half);
      elements_.multiply(table.sin->as<float>() + p * half, -1, half, sin);
      for (int64_t h = 0; h < 2 * heads; ++h) {  // the query heads, then the key heads
        rows_.rotate(d_qkv.row<float>(t) + h * D, cos, sin, half);
      }
    });
  }

  void attention_backward(ConstView qkv, std::span<const int64_t> starts, AttentionSpec spec,
                          int64_t heads, ConstView out, ConstView log_sums, ConstView dy,
                          View d_qkv) const override {
    check({qkv, out, log_sums, dy, d_qkv});
    check_attention(qkv, starts, spec, heads, {}, out);
    check_shape(log_sums, qkv.rows, heads);
    check_shape(dy, out.rows, out.cols);
    check_shape(d_qkv, qkv.rows, qkv.cols);
    run_attention_backward(attention_backward_, threads_,
                           {qkv, starts, spec, heads, out, log_sums, dy, d_qkv});
  }

  void embed_backward(ConstView dx, std::span<const int32_t> ids, View d_table) const override {
    add_rows(dx, ids, d_table);
  }

  void gather_rows_backward(ConstView dy, std::span<const int64_t> rows, View dx) const override {
    add_rows(dy, rows, dx);
  }

  void pool_backward(ConstView dy, std::span<const int64_t> starts, Pooling pooling,
                     View dx) const override {
    check({dy, dx});
    check_starts(starts, dx.rows);
    check_shape(dy, static_cast<int64_t>(starts.size()) - 1, dx.cols);
    for_rows(threads_, dy.rows, dx.cols * ceil_div(dx.rows, std::max<int64_t>(1, dy.rows)),
             [&](int64_t n) {
               const int64_t first = starts[to_size(n)], length = starts[to_size(n) + 1] - first;
               double total = 0;
               for (int64_t r = 0; r < length; ++r) total += pool_weight(pooling, r, length);
               for (int64_t r = 0; r < length; ++r) {
                 const double share = pool_weight(pooling, r, length) / total;
                 elements_.multiply(dy.row<float>(n), static_cast<float>(share), dx.cols,
                                    dx.row<float>(first + r));
               }
             });
  }

  void cross_entropy(const CrossEntropy& call) const override {
    check({call.x});
    check_cross_entropy(call);
    check_packed(call.weight);
    if (call.dx.data != nullptr) {
      check({call.dx, call.d_weight});
      check_packed(call.transposed);
    }
    cpu::cross_entropy(context_, call);
  }

 private:
  static void check(std::initializer_list<ConstView> views) {
    for (const ConstView& v : views) ETTIN_CHECK(v.dtype == Dtype::f32 && v.stride >= v.cols);
  }

  // Their panels are multiplied in parts, by the kernels of this format.
  void check_packed(const LinearWeight& weight) const {
    ETTIN_CHECK(weight.format == context_.format && !weight.gated && !weight.exact_activations);
    ETTIN_CHECK(weight.panel_width == context_.matrix.panel_width);
  }

  // fn(first, n) for ranges of columns, each on one thread: it may add up rows in their order.
  template <class Fn>
  void for_columns(int64_t rows, int64_t cols, const Fn& fn) const {
    for_tasks(threads_, ceil_div(cols, kColumnsOfTask), rows * cols / 4, [&](int64_t task) {
      const int64_t first = task * kColumnsOfTask;
      fn(first, std::min(kColumnsOfTask, cols - first));
    });
  }

  template <class Index>
  void add_rows(ConstView from, std::span<const Index> rows, View to) const {
    check({from, to});
    check_shape(from, static_cast<int64_t>(rows.size()), to.cols);
    for (const Index r : rows) ETTIN_CHECK(r >= 0 && r < to.rows);
    for_columns(from.rows, to.cols, [&](int64_t first, int64_t n) {
      for (int64_t m = 0; m < from.rows; ++m) {
        elements_.add(from.row<float>(m) + first, n, to.row<float>(rows[to_size(m)]) + first);
      }
    });
  }

  // A vector, or null for an empty view.
  static void copy_row(ConstView from, std::shared_ptr<const Buffer>* to) {
    if (from.data == nullptr) {
      *to = nullptr;
      return;
    }
    check({from});
    auto* values = refillable(to, to_size(from.cols) * sizeof(float)).as<float>();
    std::copy_n(from.row<float>(0), from.cols, values);
  }

  const ElementKernels& elements_;
  const RowKernels& rows_;
  const AttentionKernels& attention_;
  const AttentionGradientKernels& attention_backward_;
  const TrainingContext context_;
  ThreadPool& threads_;
};

}  // namespace

std::unique_ptr<const Gradients> make_gradients(const IsaChoice& isa, WeightFormat format,
                                                ThreadPool& threads) {
  if (format != WeightFormat::f32 && format != WeightFormat::bf16) return nullptr;
  return std::make_unique<CpuGradients>(isa, format, threads);
}

}  // namespace ettin::cpu
