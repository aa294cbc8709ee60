#include "tensor/hadamard.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "base/rng.h"

namespace ettin {
namespace {

template <class T>
std::vector<T> random_row(uint64_t stream, size_t n) {
  std::vector<T> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<T>(4 * random_uniform(11, stream, i) - 2);
  return x;
}

// Element (i, j) of the matrix is 1/8, negative where i and j share an odd number of bits.
TEST(RotateRow, IsTheMatrixOfWalshAndHadamard) {
  constexpr size_t kRun = kRotation;
  for (const size_t n : {64u, 128u, 200u, 63u, 0u}) {
    const std::vector<double> x = random_row<double>(n, n);
    std::vector<double> y = x;
    rotate_row(std::span(y));
    for (size_t i = 0; i < n; ++i) {
      double expected = x[i];
      if (i < n / kRun * kRun) {
        expected = 0;
        for (size_t j = 0; j < kRun; ++j) {
          const double sign = std::popcount(i % kRun & j) % 2 == 0 ? 1 : -1;
          expected += sign / 8 * x[i / kRun * kRun + j];
        }
      }
      EXPECT_NEAR(y[i], expected, i < n / kRun * kRun ? 1e-14 : 0) << i << " of " << n;
    }
  }
}

TEST(RotateRow, TwiceGivesTheRowBack) {
  const std::vector<float> x = random_row<float>(1, 330);
  std::vector<float> y = x;
  rotate_row(std::span(y));
  EXPECT_NE(y[70], x[70]);
  rotate_row(std::span(y));
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], x[i], 1e-6) << i;
}

TEST(RotateRow, KeepsProducts) {
  std::vector<double> x = random_row<double>(2, 200), y = random_row<double>(3, 200);
  const auto product = [&] {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
    return sum;
  };
  const double before = product();
  rotate_row(std::span(x));
  EXPECT_GT(std::fabs(product() - before), 0.1);
  rotate_row(std::span(y));
  EXPECT_NEAR(product(), before, 1e-12);
}

// The order that tensor/hadamard.h promises, in place and one distance at a time.
TEST(RotateRow, AddsInThePromisedOrder) {
  for (uint64_t stream = 0; stream < 50; ++stream) {
    std::vector<float> x = random_row<float>(10 + stream, 64), expected = x;
    for (size_t apart = 32; apart > 0; apart /= 2) {
      for (size_t i = 0; i < 64; ++i) {
        if ((i & apart) != 0) continue;
        const float a = expected[i], b = expected[i + apart];
        expected[i] = a + b;
        expected[i + apart] = a - b;
      }
    }
    for (float& v : expected) v /= 8;
    rotate_row(std::span(x));
    EXPECT_EQ(x, expected);
  }
}

TEST(RotateRow, SpreadsAnOutlier) {
  std::vector<float> x(64);
  x[37] = 8;
  rotate_row(std::span(x));
  for (const float v : x) EXPECT_EQ(std::fabs(v), 1);
}

}  // namespace
}  // namespace ettin
