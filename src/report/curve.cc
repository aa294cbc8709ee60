#include "report/curve.h"

#include <algorithm>
#include <array>

namespace ettin {

std::vector<CurvePoint> smooth(std::span<const CurvePoint> points, int64_t window) {
  const auto n = static_cast<int64_t>(points.size());
  std::vector<double> sums(points.size() + 1);  // sums[i]: of the first i points
  for (size_t i = 0; i < points.size(); ++i) sums[i + 1] = sums[i] + points[i].y;
  std::vector<CurvePoint> out(points.begin(), points.end());
  const int64_t half = std::max<int64_t>(window - 1, 0) / 2;
  if (half == 0) return out;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t reach = std::min({half, i, n - 1 - i});
    const auto begin = static_cast<size_t>(i - reach), end = static_cast<size_t>(i + reach + 1);
    out[static_cast<size_t>(i)].y = (sums[end] - sums[begin]) / static_cast<double>(end - begin);
  }
  return out;
}

std::vector<CurvePoint> thin_out(std::span<const CurvePoint> points, int columns) {
  const auto most = static_cast<size_t>(std::max(columns, 1)) * 4;
  if (points.size() <= most) return {points.begin(), points.end()};
  const double left = points.front().x;
  const double width = (points.back().x - left) / std::max(columns, 1);
  std::vector<CurvePoint> out;
  size_t begin = 0;
  for (int column = 0; column < columns && begin < points.size(); ++column) {
    const double right = left + width * (column + 1);
    size_t end = begin, low = begin, high = begin;
    while (end < points.size() && (column + 1 == columns || points[end].x < right)) {
      if (points[end].y < points[low].y) low = end;
      if (points[end].y > points[high].y) high = end;
      ++end;
    }
    if (end == begin) continue;
    std::array<size_t, 4> kept = {begin, low, high, end - 1};
    std::sort(kept.begin(), kept.end());
    for (size_t i = 0; i < kept.size(); ++i) {
      if (i == 0 || kept[i] != kept[i - 1]) out.push_back(points[kept[i]]);
    }
    begin = end;
  }
  return out;
}

}  // namespace ettin
