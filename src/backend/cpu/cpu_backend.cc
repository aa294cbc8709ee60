#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

#include "backend/cpu/attention_tasks.h"
#include "backend/cpu/gradients.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/pack.h"
#include "backend/cpu/regions.h"
#include "backend/cpu/scratch.h"
#include "backend/rope_table.h"
#include "backend/shapes.h"
#include "backend/top_k.h"

namespace ettin {
namespace {

class CpuBackend final : public Backend {
 public:
  CpuBackend(const cpu::IsaChoice& isa, const BackendOptions& options)
      : isa_(isa),
        isa_name_(isa.name),
        format_(options.format),
        exact_activations_(options.exact_activations),
        one_scale_(options.int8_one_scale),
        cache_dtype_(options.exact_activations || !rounds_keys(options.format) ? Dtype::f32
                                                                               : Dtype::bf16),
        matrix_(cpu::matrix_kernels(isa.targets)),
        attention_(cpu::attention_kernels(isa, cache_dtype_ == Dtype::bf16)),
        rows_(cpu::row_kernels(isa.targets)),
        pool_(shared_thread_pool(options.threads)),
        threads_(*pool_),
        gradients_(cpu::make_gradients(isa, format_, threads_)) {
    std::transform(isa_name_.begin(), isa_name_.end(), isa_name_.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  }

  std::string_view name() const override { return "cpu"; }
  std::string_view isa() const override { return isa_name_; }
  Dtype activation_dtype() const override { return Dtype::f32; }
  WeightFormat format() const override { return format_; }
  Dtype cache_dtype() const override { return cache_dtype_; }
  ThreadPool& threads() const override { return threads_; }
  const Gradients* gradients() const override {
    // Training rounds both operands of a product.
    return exact_activations_ && format_ == WeightFormat::bf16 ? nullptr : gradients_.get();
  }

  LinearWeight pack_matrix(const MatrixSource& source, MatrixUse use) const override {
    LinearWeight w =
        cpu::pack_matrix(source, use, source.format.value_or(format_), matrix_, threads_);
    w.exact_activations = exact_activations_;
    w.one_scale = one_scale_;
    return w;
  }

  NormWeight pack_norm(const StoredTensor& gain, const StoredTensor* bias,
                       double eps) const override {
    NormWeight n;
    n.size = static_cast<int64_t>(gain.element_count());
    n.eps = eps;
    n.gain = widen(gain);
    if (bias != nullptr) {
      ETTIN_CHECK(bias->element_count() == gain.element_count());
      n.bias = widen(*bias);
    }
    return n;
  }

  LinearWeight with_bias(const LinearWeight& weight, const StoredTensor& bias) const override {
    LinearWeight w = weight;
    w.bias = cpu::pack_bias({&bias}, w.out_features, w.gated, w.panel_width);
    return w;
  }

  RopeTable make_rope_table(double theta, int64_t head_dim, int64_t positions) const override {
    return build_rope_table<float>(theta, head_dim, positions, threads_);
  }

  View allocate(Arena& arena, int64_t rows, int64_t cols) const override {
    auto* data = arena.allocate_array<float>(rows * cols);
    return {reinterpret_cast<std::byte*>(data), Dtype::f32, rows, cols, cols};
  }

  void copy_to_host(ConstView from, std::span<float> out) const override { copy(from, out); }
  void copy_to_host(ConstView from, std::span<double> out) const override { copy(from, out); }

  void embed(const LinearWeight& table, std::span<const int32_t> ids, View out) const override {
    check({out});
    ETTIN_CHECK(out.cols == table.in_features && to_size(out.rows) == ids.size());
    for_rows(out.rows, 4 * out.cols, [&](int64_t t) {
      const int64_t id = ids[to_size(t)];
      ETTIN_CHECK(id >= 0 && id < table.out_features);
      cpu::unpack_row(table, id, out.row<float>(t));
    });
  }

  void layer_norm(ConstView x, const NormWeight& norm, View out) const override {
    check({x, out});
    ETTIN_CHECK(x.cols == norm.size && out.cols == x.cols && out.rows == x.rows);
    for_rows(x.rows, x.cols,
             [&](int64_t t) { rows_.layer_norm(x.row<float>(t), norm, out.row<float>(t)); });
  }

  void linear(ConstView x, const NormWeight& norm, const LinearWeight& weight, Epilogue epilogue,
              Activation activation, View out) const override {
    check({x, out});
    check_linear(x, norm, weight, epilogue, activation, out);
    ETTIN_CHECK(weight.panel_width == matrix_.panel_width);
    cpu::linear(x, norm, weight, epilogue, activation, out, {matrix_, rows_, isa_, threads_});
  }

  void rope(View qkv, std::span<const int32_t> positions, const RopeTable& table,
            int64_t heads) const override {
    check({qkv});
    const int64_t D = table.head_dim, half = D / 2;
    ETTIN_CHECK(qkv.cols == 3 * heads * D && to_size(qkv.rows) == positions.size());
    for_rows(qkv.rows, 2 * heads * D, [&](int64_t t) {
      const int64_t p = positions[to_size(t)];
      ETTIN_CHECK(p >= 0 && p < table.positions);
      const float* cos = table.cos->as<float>() + p * half;
      const float* sin = table.sin->as<float>() + p * half;
      // The query heads, then the key heads.
      for (int64_t h = 0; h < 2 * heads; ++h) {
        rows_.rotate(qkv.row<float>(t) + h * D, cos, sin, half);
      }
    });
  }

  void attention(ConstView qkv, std::span<const int64_t> starts, AttentionSpec spec, int64_t heads,
                 std::span<const KvView> caches, View out) const override {
    check({qkv, out});
    check_attention(qkv, starts, spec, heads, caches, out);
    cpu::run_attention(attention_, threads_,
                       {qkv, starts, spec, heads, caches, cache_dtype_ == Dtype::bf16, out});
  }

  void kv_append(ConstView qkv, std::span<const int64_t> starts,
                 std::span<const KvView> caches) const override {
    check({qkv});
    check_starts(starts, qkv.rows);
    ETTIN_CHECK(caches.size() + 1 == starts.size());
    const int64_t H = qkv.cols / 3;
    for (size_t n = 0; n < caches.size(); ++n) {
      const KvView& cache = caches[n];
      ETTIN_CHECK(cache.keys.cols == H && cache.values.cols == H);
      ETTIN_CHECK(cache.keys.rows > 0 && cache.values.rows == cache.keys.rows);
      // Rows that later rows of the same call would overwrite are not stored.
      const int64_t first = std::max(starts[n], starts[n + 1] - cache.keys.rows);
      for (int64_t t = first; t < starts[n + 1]; ++t) {
        const int64_t slot = (cache.past + t - starts[n]) % cache.keys.rows;
        store_row(qkv.row<float>(t) + H, cache.keys, slot);
        store_row(qkv.row<float>(t) + 2 * H, cache.values, slot);
      }
    }
  }

  void gather_rows(ConstView x, std::span<const int64_t> rows, View out) const override {
    check({x, out});
    ETTIN_CHECK(to_size(out.rows) == rows.size() && out.cols == x.cols);
    for_rows(out.rows, out.cols, [&](int64_t m) {
      const int64_t from = rows[to_size(m)];
      ETTIN_CHECK(from >= 0 && from < x.rows);
      std::memcpy(out.row<float>(m), x.row<float>(from), to_size(x.cols) * sizeof(float));
    });
  }

  void pool(ConstView x, std::span<const int64_t> starts, Pooling pooling,
            View out) const override {
    check({x, out});
    check_starts(starts, x.rows);
    ETTIN_CHECK(to_size(out.rows) + 1 == starts.size() && out.cols == x.cols);
    for_rows(out.rows, x.cols * ceil_div(x.rows, std::max<int64_t>(1, out.rows)), [&](int64_t n) {
      const int64_t first = starts[to_size(n)], length = starts[to_size(n) + 1] - first;
      ETTIN_CHECK(length > 0);
      std::vector<double> sum(to_size(x.cols));
      double total = 0;
      for (int64_t r = 0; r < length; ++r) {
        const double w = pool_weight(pooling, r, length);
        if (w == 0) continue;
        total += w;
        const float* row = x.row<float>(first + r);
        for (int64_t c = 0; c < x.cols; ++c) sum[to_size(c)] += w * static_cast<double>(row[c]);
      }
      for (int64_t c = 0; c < x.cols; ++c) {
        out.row<float>(n)[c] = static_cast<float>(sum[to_size(c)] / total);
      }
    });
  }

  void l2_normalize(View x) const override {
    check({x});
    for_rows(x.rows, x.cols, [&](int64_t t) { rows_.l2_normalize(x.row<float>(t), x.cols); });
  }

  void log_sum_exp(ConstView logits, std::span<double> out) const override {
    check({logits});
    ETTIN_CHECK(to_size(logits.rows) == out.size() && logits.cols > 0);
    for_rows(logits.rows, logits.cols, [&](int64_t m) {
      out[to_size(m)] = rows_.log_sum_exp(logits.row<float>(m), logits.cols);
    });
  }

  void top_k(ConstView logits, int64_t k, std::span<TokenLogit> out) const override {
    check({logits});
    ETTIN_CHECK(k > 0 && k <= logits.cols && to_size(logits.rows * k) == out.size());
    for_rows(logits.rows, logits.cols, [&](int64_t m) {
      row_top_k(logits.row<float>(m), logits.cols, out.subspan(to_size(m * k), to_size(k)));
    });
  }

 private:
  // What other tools store is computed as they do, with fp32 between the matrices.
  static bool rounds_keys(WeightFormat format) {
    return format == WeightFormat::bf16 || format == WeightFormat::q8 || format == WeightFormat::q4;
  }

  static void check(std::initializer_list<ConstView> views) {
    for (const ConstView& v : views) ETTIN_CHECK(v.dtype == Dtype::f32 && v.stride >= v.cols);
  }

  void store_row(const float* from, const View& cache, int64_t slot) const {
    ETTIN_CHECK(cache.dtype == cache_dtype_);
    if (cache_dtype_ == Dtype::bf16) {
      attention_.round(from, cache.cols, cache.row<uint16_t>(slot));
    } else {
      std::memcpy(cache.row<float>(slot), from, to_size(cache.cols) * sizeof(float));
    }
  }

  template <class Fn>
  void for_rows(int64_t rows, int64_t cols, const Fn& fn) const {
    cpu::for_rows(threads_, rows, cols, fn);
  }

  static std::shared_ptr<const Buffer> widen(const StoredTensor& tensor) {
    const auto n = static_cast<size_t>(tensor.element_count());
    auto buffer = std::make_shared<Buffer>(n * sizeof(float));
    read_elements(tensor, 0, std::span(buffer->as<float>(), n));
    return buffer;
  }

  template <class U>
  static void copy(ConstView from, std::span<U> out) {
    check({from});
    ETTIN_CHECK(to_size(from.rows * from.cols) == out.size());
    for (int64_t t = 0; t < from.rows; ++t) {
      std::copy_n(from.row<float>(t), from.cols, out.begin() + t * from.cols);
    }
  }

  const cpu::IsaChoice isa_;
  std::string isa_name_;
  const WeightFormat format_;
  const bool exact_activations_, one_scale_;
  const Dtype cache_dtype_;  // bf16: attention computes with bf16 keys and values, cached or not
  const cpu::MatrixKernels& matrix_;
  const cpu::AttentionKernels& attention_;
  const cpu::RowKernels& rows_;
  const std::shared_ptr<ThreadPool> pool_;
  ThreadPool& threads_;
  const std::unique_ptr<const Gradients> gradients_;
};

}  // namespace

Result<std::shared_ptr<const Backend>> make_cpu_backend(const BackendOptions& options) {
  const char* limit = std::getenv("ETTIN_ISA");
  ETTIN_ASSIGN_OR_RETURN(const cpu::IsaChoice isa, cpu::choose_isa(limit ? limit : ""));
  return std::shared_ptr<const Backend>(std::make_shared<CpuBackend>(isa, options));
}

}  // namespace ettin
