#include "backend/ref/ref_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <type_traits>
#include <vector>

#include "backend/ref/ref_gradients.h"
#include "backend/ref/ref_math.h"
#include "backend/ref/rounding.h"
#include "backend/rope_table.h"
#include "backend/shapes.h"
#include "backend/top_k.h"

namespace ettin {
namespace {

using ref::activate;
using ref::dot;

template <class T>
class RefBackend final : public Backend {
 public:
  RefBackend(WeightFormat format, bool exact_activations, bool one_scale, int threads)
      : format_(format),
        exact_activations_(exact_activations),
        one_scale_(one_scale),
        pool_(shared_thread_pool(threads)),
        threads_(*pool_),
        gradients_(make_ref_gradients<T>(*this)) {}

  std::string_view name() const override { return "ref"; }
  std::string_view isa() const override { return "scalar"; }
  Dtype activation_dtype() const override { return kDtype; }
  WeightFormat format() const override { return format_; }
  ThreadPool& threads() const override { return threads_; }
  const Gradients* gradients() const override {
    // Exact activations are for answers: training rounds both operands.
    return exact_activations_ && format_ == WeightFormat::bf16 ? nullptr : gradients_.get();
  }

  LinearWeight pack_matrix(const MatrixSource& source, MatrixUse use) const override {
    const auto [rows, cols] = matrix_shape(source);
    LinearWeight w;
    w.out_features = rows;
    w.in_features = cols;
    w.format = source.format.value_or(format_);
    w.exact_activations = exact_activations_;
    w.one_scale = one_scale_;
    w.gated = use == MatrixUse::gated;
    auto data = std::make_shared<Buffer>(to_size(rows * cols) * sizeof(T));
    T* to = data->template as<T>();
    for (const StoredMatrix& block : source.blocks) {
      for (int64_t r = 0; r < block.out_features(); ++r, to += cols) {
        ref::read_rounded(block, r, w.format, std::span(to, to_size(cols)));
      }
    }
    w.data = std::move(data);
    if (!source.bias_blocks.empty()) w.bias = stack(source.bias_blocks);
    return w;
  }

  NormWeight pack_norm(const StoredTensor& gain, const StoredTensor* bias,
                       double eps) const override {
    NormWeight n;
    n.size = static_cast<int64_t>(gain.element_count());
    n.eps = eps;
    n.gain = stack({&gain});
    if (bias != nullptr) n.bias = stack({bias});
    return n;
  }

  LinearWeight with_bias(const LinearWeight& weight, const StoredTensor& bias) const override {
    ETTIN_CHECK(static_cast<int64_t>(bias.element_count()) == weight.out_features);
    LinearWeight w = weight;
    w.bias = stack({&bias});
    return w;
  }

  RopeTable make_rope_table(double theta, int64_t head_dim, int64_t positions) const override {
    return build_rope_table<T>(theta, head_dim, positions, threads_);
  }

  View allocate(Arena& arena, int64_t rows, int64_t cols) const override {
    auto* data = arena.allocate_array<T>(rows * cols);
    return {reinterpret_cast<std::byte*>(data), kDtype, rows, cols, cols};
  }

  void copy_to_host(ConstView from, std::span<float> out) const override { copy(from, out); }
  void copy_to_host(ConstView from, std::span<double> out) const override { copy(from, out); }

  void embed(const LinearWeight& table, std::span<const int32_t> ids, View out) const override {
    check({out});
    ETTIN_CHECK(out.cols == table.in_features && to_size(out.rows) == ids.size());
    for (int64_t t = 0; t < out.rows; ++t) {
      const int64_t id = ids[to_size(t)];
      ETTIN_CHECK(id >= 0 && id < table.out_features);
      std::copy_n(table.data->template as<T>() + id * out.cols, out.cols, row(out, t));
    }
  }

  void layer_norm(ConstView x, const NormWeight& norm, View out) const override {
    check({x, out});
    ETTIN_CHECK(x.cols == norm.size && out.cols == x.cols && out.rows == x.rows);
    const T* gain = norm.gain->template as<T>();
    const T* bias = norm.bias ? norm.bias->template as<T>() : nullptr;
    const T n = static_cast<T>(x.cols);
    for (int64_t t = 0; t < x.rows; ++t) {
      const T* in = row(x, t);
      T mean = 0, variance = 0;
      for (int64_t c = 0; c < x.cols; ++c) mean += in[c];
      mean /= n;
      for (int64_t c = 0; c < x.cols; ++c) variance += (in[c] - mean) * (in[c] - mean);
      const T scale = T{1} / std::sqrt(variance / n + static_cast<T>(norm.eps));
      for (int64_t c = 0; c < x.cols; ++c) {
        row(out, t)[c] = (in[c] - mean) * scale * gain[c] + (bias ? bias[c] : T{0});
      }
    }
  }

  void linear(ConstView x, const NormWeight& norm, const LinearWeight& weight, Epilogue epilogue,
              Activation activation, View out) const override {
    check({x, out});
    check_linear(x, norm, weight, epilogue, activation, out);
    if (norm) {
      Arena arena;
      const View normed = allocate(arena, x.rows, x.cols);
      layer_norm(x, norm, normed);
      return linear(normed, NormWeight(), weight, epilogue, activation, out);
    }
    const T* w = weight.data->template as<T>();
    const T* bias = weight.bias ? weight.bias->template as<T>() : nullptr;
    const int64_t in = weight.in_features;
    const auto y = [&](const T* a, int64_t o) {
      return dot(a, w + o * in, in) + (bias ? bias[o] : T{0});
    };
    std::optional<ByteScale> one_scale;
    if (weight.one_scale && weight.format == WeightFormat::int8) {
      std::pair<float, float> range;
      for (int64_t t = 0; t < x.rows; ++t) {
        const std::vector<float> narrow(row(x, t), row(x, t) + in);
        const auto [lo, hi] = range_with_zero(narrow);
        range = {std::min(range.first, lo), std::max(range.second, hi)};
      }
      one_scale = byte_scale(range.first, range.second);
    }
    threads_.parallel_for(x.rows, [&](int64_t t, int) {
      std::vector<T> rounded(row(x, t), row(x, t) + in);
      if (one_scale && !weight.exact_activations) {
        ref::round_bytes(*one_scale, std::span(rounded));
      } else if (!weight.exact_activations) {
        ref::round_row(weight.format, std::span(rounded));
      }
      const T* a = rounded.data();
      T* to = row(out, t);
      for (int64_t o = 0; o < out.cols; ++o) {
        switch (epilogue) {
          case Epilogue::store:
            to[o] = activate(activation, y(a, o));
            break;
          case Epilogue::add:
            to[o] += y(a, o);
            break;
          case Epilogue::gated:
            to[o] = activate(activation, y(a, o)) * y(a, o + out.cols);
            break;
        }
      }
    });
  }

  void rope(View qkv, std::span<const int32_t> positions, const RopeTable& table,
            int64_t heads) const override {
    check({qkv});
    const int64_t D = table.head_dim, half = D / 2;
    ETTIN_CHECK(qkv.cols == 3 * heads * D && to_size(qkv.rows) == positions.size());
    for (int64_t t = 0; t < qkv.rows; ++t) {
      const int64_t p = positions[to_size(t)];
      ETTIN_CHECK(p >= 0 && p < table.positions);
      const T* cos = table.cos->template as<T>() + p * half;
      const T* sin = table.sin->template as<T>() + p * half;
      for (int64_t h = 0; h < 2 * heads; ++h) {  // the query heads, then the key heads
        T* x = row(qkv, t) + h * D;
        for (int64_t k = 0; k < half; ++k) {
          const T a = x[k], b = x[k + half];
          x[k] = a * cos[k] - b * sin[k];
          x[k + half] = b * cos[k] + a * sin[k];
        }
      }
    }
  }

  void attention(ConstView qkv, std::span<const int64_t> starts, AttentionSpec spec, int64_t heads,
                 std::span<const KvView> caches, View out) const override {
    check({qkv, out});
    check_attention(qkv, starts, spec, heads, caches, out);
    const int64_t H = out.cols, D = H / heads;
    const T scale = T{1} / std::sqrt(static_cast<T>(D));
    for (size_t n = 0; n + 1 < starts.size(); ++n) {
      const int64_t past = caches.empty() ? 0 : caches[n].past;
      const int64_t length = starts[n + 1] - starts[n];
      // part 1: keys, part 2: values, of position p in head h.
      const auto stored = [&](int64_t part, int64_t p, int64_t h) -> const T* {
        if (p >= past) return row(qkv, starts[n] + p - past) + part * H + h * D;
        const View& ring = part == 1 ? caches[n].keys : caches[n].values;
        return row(ring, p % ring.rows) + h * D;
      };
      threads_.parallel_for(length, [&](int64_t r, int) {
        const auto [first, last] = visible_keys(spec, past + r, past + length);
        std::vector<T> weights(to_size(last - first));
        for (int64_t h = 0; h < heads; ++h) {
          const T* q = row(qkv, starts[n] + r) + h * D;
          for (int64_t p = first; p < last; ++p) {
            weights[to_size(p - first)] = dot(q, stored(1, p, h), D) * scale;
          }
          const T largest = *std::max_element(weights.begin(), weights.end());
          T sum = 0;
          for (T& w : weights) sum += w = std::exp(w - largest);
          T* to = row(out, starts[n] + r) + h * D;
          std::fill_n(to, D, T{0});
          for (int64_t p = first; p < last; ++p) {
            const T w = weights[to_size(p - first)] / sum;
            for (int64_t d = 0; d < D; ++d) to[d] += w * stored(2, p, h)[d];
          }
        }
      });
    }
  }

  void kv_append(ConstView qkv, std::span<const int64_t> starts,
                 std::span<const KvView> caches) const override {
    check({qkv});
    check_starts(starts, qkv.rows);
    ETTIN_CHECK(caches.size() + 1 == starts.size());
    const int64_t H = qkv.cols / 3;
    for (size_t n = 0; n < caches.size(); ++n) {
      const KvView& cache = caches[n];
      ETTIN_CHECK(cache.keys.cols == H && cache.values.cols == H && cache.keys.rows > 0);
      for (int64_t t = starts[n]; t < starts[n + 1]; ++t) {
        const int64_t slot = (cache.past + t - starts[n]) % cache.keys.rows;
        std::copy_n(row(qkv, t) + H, H, row(cache.keys, slot));
        std::copy_n(row(qkv, t) + 2 * H, H, row(cache.values, slot));
      }
    }
  }

  void gather_rows(ConstView x, std::span<const int64_t> rows, View out) const override {
    check({x, out});
    ETTIN_CHECK(to_size(out.rows) == rows.size() && out.cols == x.cols);
    for (int64_t m = 0; m < out.rows; ++m) {
      const int64_t from = rows[to_size(m)];
      ETTIN_CHECK(from >= 0 && from < x.rows);
      std::copy_n(row(x, from), x.cols, row(out, m));
    }
  }

  void pool(ConstView x, std::span<const int64_t> starts, Pooling pooling,
            View out) const override {
    check({x, out});
    check_starts(starts, x.rows);
    ETTIN_CHECK(to_size(out.rows) + 1 == starts.size() && out.cols == x.cols);
    for (int64_t n = 0; n < out.rows; ++n) {
      const int64_t first = starts[to_size(n)], last = starts[to_size(n) + 1];
      ETTIN_CHECK(last > first);
      std::vector<double> sum(to_size(x.cols));
      double total = 0;
      for (int64_t t = first; t < last; ++t) {
        const double w = pool_weight(pooling, t - first, last - first);
        total += w;
        for (int64_t c = 0; w != 0 && c < x.cols; ++c) {
          sum[to_size(c)] += w * static_cast<double>(row(x, t)[c]);
        }
      }
      for (int64_t c = 0; c < x.cols; ++c) {
        row(out, n)[c] = static_cast<T>(sum[to_size(c)] / total);
      }
    }
  }

  void l2_normalize(View x) const override {
    check({x});
    for (int64_t t = 0; t < x.rows; ++t) {
      const T norm = std::max(std::sqrt(dot(row(x, t), row(x, t), x.cols)), T(1e-12));
      for (int64_t c = 0; c < x.cols; ++c) row(x, t)[c] /= norm;
    }
  }

  void log_sum_exp(ConstView logits, std::span<double> out) const override {
    check({logits});
    ETTIN_CHECK(to_size(logits.rows) == out.size() && logits.cols > 0);
    for (int64_t m = 0; m < logits.rows; ++m) {
      const T* x = row(logits, m);
      const double largest = static_cast<double>(*std::max_element(x, x + logits.cols));
      double sum = 0;
      for (int64_t c = 0; c < logits.cols; ++c)
        sum += std::exp(static_cast<double>(x[c]) - largest);
      out[to_size(m)] = std::isfinite(largest) ? largest + std::log(sum) : largest;
    }
  }

  void top_k(ConstView logits, int64_t k, std::span<TokenLogit> out) const override {
    check({logits});
    ETTIN_CHECK(k > 0 && k <= logits.cols && to_size(logits.rows * k) == out.size());
    for (int64_t m = 0; m < logits.rows; ++m) {
      row_top_k(row(logits, m), logits.cols, out.subspan(to_size(m * k), to_size(k)));
    }
  }

 private:
  static constexpr Dtype kDtype = std::is_same_v<T, double> ? Dtype::f64 : Dtype::f32;

  static void check(std::initializer_list<ConstView> views) {
    for (const ConstView& v : views) ETTIN_CHECK(v.dtype == kDtype && v.stride >= v.cols);
  }
  static const T* row(ConstView v, int64_t r) { return v.row<T>(r); }
  static T* row(View v, int64_t r) { return v.row<T>(r); }

  static std::shared_ptr<const Buffer> stack(const std::vector<const StoredTensor*>& tensors) {
    uint64_t count = 0;
    for (const StoredTensor* t : tensors) count += t->element_count();
    auto buffer = std::make_shared<Buffer>(static_cast<size_t>(count) * sizeof(T));
    T* to = buffer->template as<T>();
    for (const StoredTensor* t : tensors) {
      const auto n = static_cast<size_t>(t->element_count());
      read_elements(*t, 0, std::span<T>(to, n));
      to += n;
    }
    return buffer;
  }

  template <class U>
  static void copy(ConstView from, std::span<U> out) {
    check({from});
    ETTIN_CHECK(to_size(from.rows * from.cols) == out.size());
    for (int64_t t = 0; t < from.rows; ++t) {
      const T* x = row(from, t);
      for (int64_t c = 0; c < from.cols; ++c) {
        out[to_size(t * from.cols + c)] = static_cast<U>(x[c]);
      }
    }
  }

  const WeightFormat format_;
  const bool exact_activations_, one_scale_;
  const std::shared_ptr<ThreadPool> pool_;
  ThreadPool& threads_;
  const std::unique_ptr<const Gradients> gradients_;  // last: made from the members above
};

}  // namespace

std::shared_ptr<const Backend> make_ref_backend(Dtype dtype, WeightFormat format,
                                                bool exact_activations, int threads,
                                                bool one_scale) {
  if (dtype == Dtype::f64) {
    return std::make_shared<RefBackend<double>>(format, exact_activations, one_scale, threads);
  }
  return std::make_shared<RefBackend<float>>(format, exact_activations, one_scale, threads);
}

}  // namespace ettin
