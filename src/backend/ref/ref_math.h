// Scalar formulas of the reference backend.
#pragma once

#include <cmath>

#include "backend/backend.h"

namespace ettin::ref {

template <class T>
T activate(Activation activation, T x) {
  switch (activation) {
    case Activation::identity:
      return x;
    case Activation::gelu:
      // 1 + erf(z) = erfc(-z), which keeps the negative tail accurate.
      return T{0.5} * x * std::erfc(-x * T(0.70710678118654752440));
    case Activation::gelu_tanh:
      return T{0.5} * x *
             (T{1} + std::tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x)));
    case Activation::silu:
      return x / (T{1} + std::exp(-x));
    case Activation::relu:
      return x > T{0} ? x : T{0};
    case Activation::tanh:
      return std::tanh(x);
  }
  return x;
}

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace ettin::ref
