// Random tensors of the tables of cases: the same numbers on every backend, exact in float.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "backend/rope_table.h"
#include "backend/shapes.h"
#include "base/arena.h"
#include "base/rng.h"

namespace ettin {

// In [-1, 1).
inline float draw(uint64_t stream, int64_t i) {
  const double u = random_uniform(20, stream, static_cast<uint64_t>(i));
  return static_cast<float>(2 * u - 1);
}

inline void set_element(View v, int64_t r, int64_t col, double value) {
  if (v.dtype == Dtype::f64) {
    v.row<double>(r)[col] = value;
  } else {
    v.row<float>(r)[col] = static_cast<float>(value);
  }
}

// Random contents that do not depend on the stride, between -scale and scale. Strided: rows are
// `kCaseGap` elements further apart, NaN that nobody may read.
constexpr int64_t kCaseGap = 13;

inline View make_random(const Backend& backend, Arena& arena, int64_t rows, int64_t cols,
                        bool strided, uint64_t stream, float scale = 1) {
  const View whole = backend.allocate(arena, rows, cols + (strided ? kCaseGap : 0));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < whole.cols; ++k) {
      set_element(whole, r, k,
                  k < cols ? static_cast<double>(scale * draw(stream, r * cols + k)) : NAN);
    }
  }
  return whole.slice_cols(0, cols);
}

// All backends get the table in float: a double one would measure the table, not the rotation.
inline RopeTable make_case_rope_table(const Backend& backend, int64_t head_dim, int64_t positions) {
  RopeTable t = build_rope_table<float>(160000.0, head_dim, positions, backend.threads());
  if (backend.activation_dtype() == Dtype::f32) return t;
  for (auto* part : {&t.cos, &t.sin}) {
    const auto n = (*part)->size() / sizeof(float);
    auto wide = std::make_shared<Buffer>(n * sizeof(double));
    for (size_t i = 0; i < n; ++i) {
      wide->as<double>()[i] = static_cast<double>((*part)->as<float>()[i]);
    }
    *part = wide;
  }
  return t;
}

inline std::vector<double> read_values(const Backend& backend, ConstView v) {
  std::vector<double> values(to_size(v.rows * v.cols));
  backend.copy_to_host(v, values);
  return values;
}

}  // namespace ettin
