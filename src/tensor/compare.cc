#include "tensor/compare.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace ettin {
namespace {

template <class A, class B>
Difference compare_any(std::span<const A> actual, std::span<const B> expected) {
  ETTIN_CHECK(actual.size() == expected.size());
  Difference d;
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const auto a = static_cast<double>(actual[i]);
    const auto b = static_cast<double>(expected[i]);
    if (!std::isfinite(a)) ++d.non_finite;
    const double off = std::isfinite(a) ? std::abs(a - b) : INFINITY;
    if (d.worst < 0 || off > d.max_abs) {
      d.max_abs = off;
      d.worst = static_cast<int64_t>(i);
    }
    d.max_expected = std::max(d.max_expected, std::abs(b));
    dot += a * b;
    aa += a * a;
    bb += b * b;
  }
  if (aa > 0 || bb > 0) d.cosine = dot / std::sqrt(aa * bb);
  return d;
}

}  // namespace

Difference compare(std::span<const float> a, std::span<const double> b) {
  return compare_any(a, b);
}
Difference compare(std::span<const double> a, std::span<const double> b) {
  return compare_any(a, b);
}
Difference compare(std::span<const float> a, std::span<const float> b) { return compare_any(a, b); }

}  // namespace ettin
