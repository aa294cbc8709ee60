// The k largest of a row, shared by the backends that keep logits in host memory.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace ettin {

// out.size() entries, descending, ties to the lower id. NaN counts as the smallest value.
template <class T>
void row_top_k(const T* x, int64_t n, std::span<TokenLogit> out) {
  const auto before = [x](int32_t a, int32_t b) {
    const T u = x[a], v = x[b];
    if (std::isnan(u) || std::isnan(v)) {
      return std::isnan(u) == std::isnan(v) ? a < b : std::isnan(v);
    }
    return u != v ? u > v : a < b;
  };
  const auto k = static_cast<int64_t>(out.size());
  std::vector<int32_t> ids;
  if (k > 256) {
    ids.resize(static_cast<size_t>(n));
    std::iota(ids.begin(), ids.end(), 0);
    std::partial_sort(ids.begin(), ids.begin() + k, ids.end(), before);
  } else {
    // A scan against the worst kept value: almost every element costs one comparison, and most of
    // them are made a block at a time.
    constexpr int64_t kBlock = 64;
    ids.reserve(static_cast<size_t>(k) + 1);
    for (int64_t i = 0; i < n; ++i) {
      if (i % kBlock == 0 && i + kBlock <= n && static_cast<int64_t>(ids.size()) == k) {
        const T worst = x[ids.back()];
        int larger = 0;  // a number: the compiler makes vectors of it
        for (int64_t j = i; j < i + kBlock; ++j) larger |= !(x[j] <= worst);
        if (larger == 0) {
          i += kBlock - 1;
          continue;
        }
      }
      const auto id = static_cast<int32_t>(i);
      const bool full = static_cast<int64_t>(ids.size()) == k;
      if (full && !before(id, ids.back())) continue;
      if (full) ids.pop_back();
      ids.insert(std::upper_bound(ids.begin(), ids.end(), id, before), id);
    }
  }
  for (int64_t i = 0; i < k; ++i) {
    const int32_t id = ids[static_cast<size_t>(i)];
    out[static_cast<size_t>(i)] = {id, static_cast<double>(x[id])};
  }
}

}  // namespace ettin
