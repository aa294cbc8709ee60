// The rotary table in a floating-point type T, with the operation order of reference programs.
#pragma once

#include <cmath>
#include <memory>

#include "backend/shapes.h"

namespace ettin {

// What the angle of pair k grows by from one position to the next. Each step is rounded to T. The
// power is taken in double and rounded: the best stand-in for the various powf within 1 ulp that
// reference programs use.
template <class T>
T rope_inverse_frequency(double theta, int64_t head_dim, int64_t k) {
  const T e = static_cast<T>(2 * k) / static_cast<T>(head_dim);
  const T power =
      static_cast<T>(std::pow(static_cast<double>(static_cast<T>(theta)), static_cast<double>(e)));
  return T{1} / power;
}

template <class T>
RopeTable build_rope_table(double theta, int64_t head_dim, int64_t positions, ThreadPool& pool) {
  ETTIN_CHECK(head_dim > 0 && head_dim % 2 == 0 && positions >= 0);
  const int64_t half = head_dim / 2;
  const size_t bytes = to_size(positions * half) * sizeof(T);
  Buffer cos(bytes), sin(bytes);
  const int64_t rows_per_task = 256;
  pool.parallel_for((positions + rows_per_task - 1) / rows_per_task, [&](int64_t task, int) {
    const int64_t end = std::min(positions, (task + 1) * rows_per_task);
    for (int64_t k = 0; k < half; ++k) {
      const T inverse = rope_inverse_frequency<T>(theta, head_dim, k);
      for (int64_t p = task * rows_per_task; p < end; ++p) {
        const T angle = static_cast<T>(p) * inverse;
        const double a = static_cast<double>(angle);
        cos.as<T>()[p * half + k] = static_cast<T>(std::cos(a));
        sin.as<T>()[p * half + k] = static_cast<T>(std::sin(a));
      }
    }
  });
  return {positions, head_dim, std::make_shared<const Buffer>(std::move(cos)),
          std::make_shared<const Buffer>(std::move(sin))};
}

}  // namespace ettin
