// Series of numbers on their way into a chart: averaged, and thinned to what a picture can show.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ettin {

struct CurvePoint {
  double x = 0, y = 0;
};

// The mean over `window` points around each one (itself included). Near the ends, and for an even
// window, the same number of neighbours on both sides: the curve has no lag, and begins and ends
// where the points do. Precondition: every y is finite.
std::vector<CurvePoint> smooth(std::span<const CurvePoint> points, int64_t window);

// At most four points of each of `columns` equal parts of the range of x: the first, the lowest,
// the highest and the last, which draw the same picture. Points are sorted by x.
std::vector<CurvePoint> thin_out(std::span<const CurvePoint> points, int columns);

}  // namespace ettin
