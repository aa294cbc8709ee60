// How far two sequences of numbers are apart; used by tests, `diff` and `verify`.
#pragma once

#include <cstdint>
#include <span>

namespace ettin {

struct Difference {
  double max_abs = 0;       // largest |a - b|
  double max_expected = 0;  // largest |expected|
  double cosine = 1;        // of the two as vectors; 1 when both are zero
  int64_t worst = -1;       // index of max_abs
  int64_t non_finite = 0;   // entries of `actual` that are NaN or infinite

  // max_abs relative to the largest expected magnitude: the measure of every fp32 bound in ettin.
  double relative() const { return max_expected > 0 ? max_abs / max_expected : max_abs; }
};

Difference compare(std::span<const float> actual, std::span<const double> expected);
Difference compare(std::span<const double> actual, std::span<const double> expected);
Difference compare(std::span<const float> actual, std::span<const float> expected);

}  // namespace ettin
