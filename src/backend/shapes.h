// Preconditions that every backend checks in the same words, and small helpers over shapes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "backend/backend.h"
#include "base/check.h"

namespace ettin {

inline size_t to_size(int64_t n) { return static_cast<size_t>(n); }
constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t n, int64_t to) { return ceil_div(n, to) * to; }
// The size of equal parts of at most `most` that `n` is cut into: 16 = 8 + 8, not 14 + 2.
constexpr int64_t even_part(int64_t n, int64_t most) { return ceil_div(n, ceil_div(n, most)); }

// Keys [first, last) that the query at position p sees, of a sequence with `end` positions.
inline std::pair<int64_t, int64_t> visible_keys(AttentionSpec spec, int64_t p, int64_t end) {
  return {std::max<int64_t>(0, p - spec.left), std::min(end, p + spec.right + 1)};
}

inline void check_starts(std::span<const int64_t> starts, int64_t rows) {
  ETTIN_CHECK(!starts.empty() && starts.front() == 0 && starts.back() == rows);
  ETTIN_CHECK(std::is_sorted(starts.begin(), starts.end()));
}

inline void check_attention(ConstView qkv, std::span<const int64_t> starts, AttentionSpec spec,
                            int64_t heads, std::span<const KvView> caches, ConstView out) {
  check_starts(starts, qkv.rows);
  ETTIN_CHECK(spec.left >= 0 && spec.right >= 0);
  ETTIN_CHECK(heads > 0 && out.rows == qkv.rows && qkv.cols == 3 * out.cols);
  ETTIN_CHECK(out.cols % heads == 0);
  ETTIN_CHECK(caches.empty() || caches.size() + 1 == starts.size());
  for (const KvView& c : caches) {
    // The first row's oldest visible key must still lie in the ring.
    ETTIN_CHECK(c.past >= 0 && c.keys.rows == c.values.rows);
    ETTIN_CHECK(std::min(c.past, spec.left) <= c.keys.rows);
    ETTIN_CHECK(c.past == 0 || (c.keys.cols == out.cols && c.values.cols == out.cols));
  }
}

inline void check_linear(ConstView x, const NormWeight& norm, const LinearWeight& weight,
                         Epilogue epilogue, Activation activation, ConstView out) {
  ETTIN_CHECK(!norm || norm.size == x.cols);
  const bool gated = epilogue == Epilogue::gated;
  ETTIN_CHECK(x.cols == weight.in_features && x.rows == out.rows);
  ETTIN_CHECK(gated == weight.gated);
  ETTIN_CHECK(out.cols == (gated ? weight.out_features / 2 : weight.out_features));
  ETTIN_CHECK(epilogue != Epilogue::add || activation == Activation::identity);
}

// Weight of row r of a sequence with n rows.
inline double pool_weight(Pooling pooling, int64_t r, int64_t n) {
  switch (pooling) {
    case Pooling::mean:
      return 1;
    case Pooling::cls:
      return r == 0 ? 1 : 0;
    case Pooling::last:
      return r == n - 1 ? 1 : 0;
    case Pooling::weighted_mean:
      return static_cast<double>(r + 1);
  }
  return 0;
}

// Output and input features of stacked row blocks.
inline std::pair<int64_t, int64_t> matrix_shape(const MatrixSource& source) {
  ETTIN_CHECK(!source.blocks.empty());
  int64_t rows = 0, cols = 0, bias = 0;
  for (const StoredMatrix& b : source.blocks) {
    ETTIN_CHECK(b.values->shape.size() == 2);
    rows += b.out_features();
    cols = b.in_features;
    ETTIN_CHECK(cols == source.blocks.front().in_features);
  }
  for (const StoredTensor* b : source.bias_blocks) {
    ETTIN_CHECK(b->shape.size() == 1);
    bias += static_cast<int64_t>(b->shape[0]);
  }
  ETTIN_CHECK(source.bias_blocks.empty() || bias == rows);
  return {rows, cols};
}

}  // namespace ettin
