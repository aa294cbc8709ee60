#include "backend/ref/ref_gradients.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "backend/dropout.h"
#include "backend/gradient_shapes.h"
#include "backend/ref/ref_math.h"
#include "backend/ref/rounding.h"

namespace ettin {
namespace {

// `out` becomes or grows by `value`.
template <class T>
void write(Epilogue store_or_add, T value, T* out) {
  *out = store_or_add == Epilogue::add ? *out + value : value;
}

template <class T>
class RefGradients final : public Gradients {
 public:
  explicit RefGradients(const Backend& backend)
      : backend_(backend), format_(backend.format()), threads_(backend.threads()) {}

  void pack(ConstView master, ConstView bias, LinearWeight* weight,
            LinearWeight* transposed) const override {
    check({master});
    const int64_t out = master.rows, in = master.cols;
    check_shape_or_empty(bias, 1, out);
    const size_t bytes = to_size(out * in) * sizeof(T);
    T* plain = weight == nullptr ? nullptr : refillable(&weight->data, bytes).as<T>();
    T* turned = transposed == nullptr ? nullptr : refillable(&transposed->data, bytes).as<T>();
    for (int64_t o = 0; o < out; ++o) {
      std::vector<T> rounded(row(master, o), row(master, o) + in);
      ref::round_row(format_, std::span(rounded));
      for (int64_t i = 0; i < in; ++i) {
        if (plain != nullptr) plain[o * in + i] = rounded[to_size(i)];
        if (turned != nullptr) turned[i * out + o] = rounded[to_size(i)];
      }
    }
    if (weight != nullptr) {
      describe(out, in, weight);
      copy_row(bias, &weight->bias);
    }
    if (transposed != nullptr) {
      describe(in, out, transposed);
      transposed->bias = nullptr;
    }
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
    for (int64_t t = 0; t < out.rows; ++t) {
      const int64_t id = ids[to_size(t)];
      ETTIN_CHECK(id >= 0 && id < table.rows);
      std::copy_n(row(table, id), table.cols, row(out, t));
    }
  }

  void attention(ConstView qkv, std::span<const int64_t> starts, AttentionSpec spec, int64_t heads,
                 View out, View log_sums) const override {
    check({log_sums});
    backend_.attention(qkv, starts, spec, heads, {}, out);
    ref::attention_log_sums<T>(threads_, qkv, starts, spec, heads, log_sums);
  }

  void gate(ConstView x, Activation activation, View out) const override {
    check({x, out});
    const int64_t I = out.cols;
    check_shape(x, out.rows, 2 * I);
    for (int64_t t = 0; t < out.rows; ++t) {
      const T* u = row(x, t);
      for (int64_t i = 0; i < I; ++i) row(out, t)[i] = ref::activate(activation, u[i]) * u[I + i];
    }
  }

  void activate(ConstView x, Activation activation, View out) const override {
    check({x, out});
    check_shape(out, x.rows, x.cols);
    for (int64_t t = 0; t < x.rows; ++t) {
      for (int64_t c = 0; c < x.cols; ++c) {
        row(out, t)[c] = ref::activate(activation, row(x, t)[c]);
      }
    }
  }

  void dropout(ConstView x, const Dropout& dropout, Epilogue store_or_add,
               View out) const override {
    check({x, out});
    check_dropout(x, dropout, store_or_add, out);
    const uint32_t threshold = dropout_threshold(dropout.rate);
    const T scale = static_cast<T>(1 / (1 - dropout.rate));
    for (int64_t t = 0; t < x.rows; ++t) {
      const uint64_t key = dropout_key(dropout.row_keys[to_size(t)], dropout.stream);
      for (int64_t c = 0; c < x.cols; ++c) {
        const bool keep = dropout_keeps(key, static_cast<uint32_t>(c), threshold);
        write(store_or_add, keep ? row(x, t)[c] * scale : T{0}, row(out, t) + c);
      }
    }
  }

  void linear_weight_backward(ConstView dy, ConstView x, const NormWeight& norm,
                              View d_weight) const override {
    check({dy, x, d_weight});
    ETTIN_CHECK(dy.rows == x.rows);
    check_shape(d_weight, dy.cols, x.cols);
    Arena arena;
    const View a = backend_.allocate(arena, x.rows, x.cols);
    const View g = backend_.allocate(arena, dy.rows, dy.cols);
    for (int64_t t = 0; t < x.rows; ++t) {
      std::copy_n(row(x, t), x.cols, row(a, t));
      std::copy_n(row(dy, t), dy.cols, row(g, t));
    }
    if (norm) backend_.layer_norm(x, norm, a);
    for (int64_t t = 0; t < x.rows; ++t) {
      ref::round_row(format_, std::span(row(a, t), to_size(a.cols)));
      ref::round_row(format_, std::span(row(g, t), to_size(g.cols)));
    }
    threads_.parallel_for(d_weight.rows, [&](int64_t o, int) {
      T* to = row(d_weight, o);
      for (int64_t t = 0; t < a.rows; ++t) {
        const T upper = row(g, t)[o];
        for (int64_t i = 0; i < a.cols; ++i) to[i] += upper * row(a, t)[i];
      }
    });
  }

  void linear_bias_backward(ConstView dy, View d_bias) const override {
    check({dy, d_bias});
    check_shape(d_bias, 1, dy.cols);
    for (int64_t t = 0; t < dy.rows; ++t) {
      for (int64_t o = 0; o < dy.cols; ++o) row(d_bias, 0)[o] += row(dy, t)[o];
    }
  }

  // With n = (x - mean) / sqrt(var + eps) and g = dy * gain:
  // dx = (g - mean(g) - n * mean(g n)) / sqrt(var + eps).
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
    const T* gain = norm.gain->template as<T>();
    std::vector<T> normed(to_size(H)), g(to_size(H));
    for (int64_t t = 0; t < x.rows; ++t) {
      const T scale = normalise(row(x, t), norm.eps, std::span(normed));
      T mean_g = 0, mean_gn = 0;
      for (int64_t c = 0; c < H; ++c) {
        const T n = normed[to_size(c)], upper = row(dy, t)[c];
        row(d_gain, 0)[c] += upper * n;
        if (d_bias.data != nullptr) row(d_bias, 0)[c] += upper;
        g[to_size(c)] = upper * gain[c];
        mean_g += g[to_size(c)] / static_cast<T>(H);
        mean_gn += g[to_size(c)] * n / static_cast<T>(H);
      }
      for (int64_t c = 0; c < H; ++c) {
        const T d = scale * (g[to_size(c)] - mean_g - normed[to_size(c)] * mean_gn);
        write(store_or_add, d, row(dx, t) + c);
      }
    }
  }

  void gate_backward(ConstView x, Activation activation, ConstView dy, View dx) const override {
    check({x, dy, dx});
    const int64_t I = dy.cols;
    check_shape(x, dy.rows, 2 * I);
    check_shape(dx, dy.rows, 2 * I);
    for (int64_t t = 0; t < dy.rows; ++t) {
      for (int64_t i = 0; i < I; ++i) {
        const T u1 = row(x, t)[i], u2 = row(x, t)[I + i], g = row(dy, t)[i];
        row(dx, t)[i] = g * u2 * ref::activate_slope(activation, u1);
        row(dx, t)[I + i] = g * ref::activate(activation, u1);
      }
    }
  }

  void activate_backward(ConstView x, Activation activation, ConstView dy, View dx) const override {
    check({x, dy, dx});
    check_shape(dy, x.rows, x.cols);
    check_shape(dx, x.rows, x.cols);
    for (int64_t t = 0; t < x.rows; ++t) {
      for (int64_t c = 0; c < x.cols; ++c) {
        row(dx, t)[c] = ref::activate_slope(activation, row(x, t)[c]) * row(dy, t)[c];
      }
    }
  }

  // The inverse of a rotation is its transpose: the same angles, sin negated.
  void rope_backward(View d_qkv, std::span<const int32_t> positions, const RopeTable& table,
                     int64_t heads) const override {
    check({d_qkv});
    const int64_t D = table.head_dim, half = D / 2;
    ETTIN_CHECK(d_qkv.cols == 3 * heads * D && to_size(d_qkv.rows) == positions.size());
    for (int64_t t = 0; t < d_qkv.rows; ++t) {
      const int64_t p = positions[to_size(t)];
      ETTIN_CHECK(p >= 0 && p < table.positions);
      const T* cos = table.cos->template as<T>() + p * half;
      const T* sin = table.sin->template as<T>() + p * half;
      for (int64_t h = 0; h < 2 * heads; ++h) {  // the query heads, then the key heads
        T* x = row(d_qkv, t) + h * D;
        for (int64_t k = 0; k < half; ++k) {
          const T a = x[k], b = x[k + half];
          x[k] = a * cos[k] + b * sin[k];
          x[k + half] = b * cos[k] - a * sin[k];
        }
      }
    }
  }

  void attention_backward(ConstView qkv, std::span<const int64_t> starts, AttentionSpec spec,
                          int64_t heads, ConstView out, ConstView log_sums, ConstView dy,
                          View d_qkv) const override {
    check({qkv, out, log_sums, dy, d_qkv});
    ref::attention_backward<T>(threads_, qkv, starts, spec, heads, out, log_sums, dy, d_qkv);
  }

  void embed_backward(ConstView dx, std::span<const int32_t> ids, View d_table) const override {
    const std::vector<int64_t> rows(ids.begin(), ids.end());
    gather_rows_backward(dx, rows, d_table);
  }

  void gather_rows_backward(ConstView dy, std::span<const int64_t> rows, View dx) const override {
    check({dy, dx});
    check_shape(dy, static_cast<int64_t>(rows.size()), dx.cols);
    for (int64_t m = 0; m < dy.rows; ++m) {
      const int64_t to = rows[to_size(m)];
      ETTIN_CHECK(to >= 0 && to < dx.rows);
      for (int64_t c = 0; c < dx.cols; ++c) row(dx, to)[c] += row(dy, m)[c];
    }
  }

  void pool_backward(ConstView dy, std::span<const int64_t> starts, Pooling pooling,
                     View dx) const override {
    check({dy, dx});
    check_starts(starts, dx.rows);
    check_shape(dy, static_cast<int64_t>(starts.size()) - 1, dx.cols);
    for (int64_t n = 0; n < dy.rows; ++n) {
      const int64_t first = starts[to_size(n)], length = starts[to_size(n) + 1] - first;
      double total = 0;
      for (int64_t r = 0; r < length; ++r) total += pool_weight(pooling, r, length);
      for (int64_t r = 0; r < length; ++r) {
        const T share = static_cast<T>(pool_weight(pooling, r, length) / total);
        for (int64_t c = 0; c < dx.cols; ++c) row(dx, first + r)[c] = share * row(dy, n)[c];
      }
    }
  }

  void cross_entropy(const CrossEntropy& call) const override {
    check({call.x});
    check_cross_entropy(call);
    constexpr int64_t kBlock = 16;
    Arena arena;
    const View block = backend_.allocate(arena, kBlock, call.weight.out_features);
    for (int64_t first = 0; first < call.x.rows; first += kBlock) {
      const int64_t count = std::min(kBlock, call.x.rows - first);
      const ConstView in = call.x.slice_rows(first, count);
      const View y = block.slice_rows(0, count);  // logits, then their gradients
      std::vector<double> log_sums(to_size(count));
      backend_.linear(in, call.weight, Epilogue::store, Activation::identity, y);
      backend_.log_sum_exp(y, log_sums);
      for (int64_t m = 0; m < count; ++m) {
        const size_t at = to_size(first + m);
        const int64_t target = call.targets[at];
        const double log_sum = log_sums[to_size(m)];
        call.losses[at] = log_sum - static_cast<double>(row(y, m)[target]);
        if (!call.best.empty()) {
          const T largest = *std::max_element(row(y, m), row(y, m) + y.cols);
          call.best[at] = row(y, m)[target] >= largest ? 1 : 0;
        }
        for (int64_t v = 0; v < y.cols; ++v) {
          const double p = std::exp(static_cast<double>(row(y, m)[v]) - log_sum);
          row(y, m)[v] = static_cast<T>(call.scale * (p - (v == target ? 1 : 0)));
        }
      }
      if (call.dx.data == nullptr) continue;
      if (call.d_bias.data != nullptr) linear_bias_backward(y, call.d_bias);
      linear_weight_backward(y, in, NormWeight(), call.d_weight);
      backend_.linear(y, call.transposed, Epilogue::store, Activation::identity,
                      call.dx.slice_rows(first, count));
    }
  }

 private:
  static constexpr Dtype kDtype = std::is_same_v<T, double> ? Dtype::f64 : Dtype::f32;

  static void check(std::initializer_list<ConstView> views) {
    for (const ConstView& v : views) ETTIN_CHECK(v.dtype == kDtype && v.stride >= v.cols);
  }
  static const T* row(ConstView v, int64_t r) { return v.row<T>(r); }
  static T* row(View v, int64_t r) { return v.row<T>(r); }

  void describe(int64_t out, int64_t in, LinearWeight* weight) const {
    LinearWeight w;
    w.out_features = out;
    w.in_features = in;
    w.format = format_;
    w.data = std::move(weight->data);
    w.bias = std::move(weight->bias);
    w.next = weight->next;
    *weight = std::move(w);
  }

  // A vector, or null for an empty view.
  static void copy_row(ConstView from, std::shared_ptr<const Buffer>* to) {
    if (from.data == nullptr) {
      *to = nullptr;
      return;
    }
    check({from});
    T* values = refillable(to, to_size(from.cols) * sizeof(T)).template as<T>();
    std::copy_n(row(from, 0), from.cols, values);
  }

  // normed = (x - mean) / sqrt(var + eps), by the loops of layer_norm; returns 1 / the root.
  static T normalise(const T* x, double eps, std::span<T> normed) {
    const T n = static_cast<T>(normed.size());
    T mean = 0, variance = 0;
    for (size_t c = 0; c < normed.size(); ++c) mean += x[c];
    mean /= n;
    for (size_t c = 0; c < normed.size(); ++c) variance += (x[c] - mean) * (x[c] - mean);
    const T scale = T{1} / std::sqrt(variance / n + static_cast<T>(eps));
    for (size_t c = 0; c < normed.size(); ++c) normed[c] = (x[c] - mean) * scale;
    return scale;
  }

  const Backend& backend_;
  const WeightFormat format_;
  ThreadPool& threads_;
};

}  // namespace

template <class T>
std::unique_ptr<const Gradients> make_ref_gradients(const Backend& backend) {
  switch (backend.format()) {
    case WeightFormat::f64:
    case WeightFormat::f32:
    case WeightFormat::bf16:
      return std::make_unique<RefGradients<T>>(backend);
    default:
      return nullptr;
  }
}

template std::unique_ptr<const Gradients> make_ref_gradients<float>(const Backend& backend);
template std::unique_ptr<const Gradients> make_ref_gradients<double>(const Backend& backend);

}  // namespace ettin
