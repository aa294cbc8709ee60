#include "tensor/hadamard.h"

#include <array>

namespace ettin {
namespace {

constexpr size_t kRun = kRotation, kHalf = kRun / 2;

// The elements furthest apart are paired and the results interleaved, so the next round finds the
// next smaller distance in the same places, and after six rounds every element is back in its own.
template <class T>
void round_of_pairs(const T* from, T* to) {
  for (size_t i = 0; i < kHalf; ++i) {
    const T a = from[i], b = from[i + kHalf];
    to[2 * i] = a + b;
    to[2 * i + 1] = a - b;
  }
}

template <class T>
void rotate(std::span<T> row) {
  std::array<T, kRun> a, b;
  for (size_t first = 0; first + kRun <= row.size(); first += kRun) {
    T* run = row.data() + first;
    round_of_pairs(run, a.data());
    round_of_pairs(a.data(), b.data());
    round_of_pairs(b.data(), a.data());
    round_of_pairs(a.data(), b.data());
    round_of_pairs(b.data(), a.data());
    round_of_pairs(a.data(), b.data());
    for (size_t i = 0; i < kRun; ++i) run[i] = b[i] * T{0.125};
  }
}

}  // namespace

void rotate_row(std::span<float> row) { rotate(row); }
void rotate_row(std::span<double> row) { rotate(row); }

}  // namespace ettin
