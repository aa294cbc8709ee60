// Attention's log sums and backward. For one query with scores s = q k^T / sqrt D, P = softmax(s),
// out = P V:  dP = dy V^T,  dS = P (dP - sum(P dP)),  where sum(P dP) = dy . out;
// dQ = dS K / sqrt D,  dK = dS^T Q / sqrt D,  dV = P^T dy  (as in FlashAttention, Dao et al. 2022).
#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/gradient_shapes.h"
#include "backend/ref/ref_gradients.h"
#include "backend/ref/ref_math.h"

namespace ettin::ref {
namespace {

// fn(t, first, last) for each row t, which sees the rows [first, last).
template <class Fn>
void for_each_query(std::span<const int64_t> starts, AttentionSpec spec, Fn&& fn) {
  for (size_t n = 0; n + 1 < starts.size(); ++n) {
    const int64_t begin = starts[n], length = starts[n + 1] - begin;
    for (int64_t r = 0; r < length; ++r) {
      const auto [first, last] = visible_keys(spec, r, length);
      fn(begin + r, begin + first, begin + last);
    }
  }
}

}  // namespace

template <class T>
void attention_log_sums(ThreadPool& threads, ConstView qkv, std::span<const int64_t> starts,
                        AttentionSpec spec, int64_t heads, View log_sums) {
  check_shape(log_sums, qkv.rows, heads);
  const int64_t H = qkv.cols / 3, D = H / heads;
  const T scale = T{1} / std::sqrt(static_cast<T>(D));
  threads.parallel_for(heads, [&](int64_t h, int) {
    for_each_query(starts, spec, [&](int64_t t, int64_t first, int64_t last) {
      std::vector<T> scores;
      for (int64_t p = first; p < last; ++p) {
        const T* q = qkv.row<T>(t) + h * D;
        scores.push_back(dot(q, qkv.row<T>(p) + H + h * D, D) * scale);
      }
      const T largest = *std::max_element(scores.begin(), scores.end());
      T sum = 0;
      for (const T s : scores) sum += std::exp(s - largest);
      log_sums.row<T>(t)[h] = largest + std::log(sum);
    });
  });
}

template <class T>
void attention_backward(ThreadPool& threads, ConstView qkv, std::span<const int64_t> starts,
                        AttentionSpec spec, int64_t heads, ConstView out, ConstView log_sums,
                        ConstView dy, View d_qkv) {
  check_attention(qkv, starts, spec, heads, {}, out);
  check_shape(log_sums, qkv.rows, heads);
  check_shape(dy, out.rows, out.cols);
  check_shape(d_qkv, qkv.rows, qkv.cols);
  const int64_t H = out.cols, D = H / heads;
  const T scale = T{1} / std::sqrt(static_cast<T>(D));
  for (int64_t t = 0; t < d_qkv.rows; ++t) std::fill_n(d_qkv.row<T>(t), 3 * H, T{0});
  threads.parallel_for(heads, [&](int64_t h, int) {
    for_each_query(starts, spec, [&](int64_t t, int64_t first, int64_t last) {
      const T* q = qkv.row<T>(t) + h * D;
      const T* g = dy.row<T>(t) + h * D;
      const T sum_p_dp = dot(g, out.row<T>(t) + h * D, D);
      T* dq = d_qkv.row<T>(t) + h * D;
      for (int64_t p = first; p < last; ++p) {
        const T* k = qkv.row<T>(p) + H + h * D;
        const T* v = k + H;
        const T weight = std::exp(dot(q, k, D) * scale - log_sums.row<T>(t)[h]);
        const T ds = weight * (dot(g, v, D) - sum_p_dp) * scale;
        T* dk = d_qkv.row<T>(p) + H + h * D;
        T* dv = dk + H;
        for (int64_t d = 0; d < D; ++d) {
          dq[d] += ds * k[d];
          dk[d] += ds * q[d];
          dv[d] += weight * g[d];
        }
      }
    });
  });
}

template void attention_log_sums<float>(ThreadPool&, ConstView, std::span<const int64_t>,
                                        AttentionSpec, int64_t, View);
template void attention_log_sums<double>(ThreadPool&, ConstView, std::span<const int64_t>,
                                         AttentionSpec, int64_t, View);
template void attention_backward<float>(ThreadPool&, ConstView, std::span<const int64_t>,
                                        AttentionSpec, int64_t, ConstView, ConstView, ConstView,
                                        View);
template void attention_backward<double>(ThreadPool&, ConstView, std::span<const int64_t>,
                                         AttentionSpec, int64_t, ConstView, ConstView, ConstView,
                                         View);

}  // namespace ettin::ref
