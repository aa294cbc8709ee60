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

// The derivative of `activate` at x. That of relu at 0 is 0.
template <class T>
T activate_slope(Activation activation, T x) {
  switch (activation) {
    case Activation::identity:
      return T{1};
    case Activation::gelu:
      // Phi(x) + x phi(x) of the standard normal distribution.
      return T{0.5} * std::erfc(-x * T(0.70710678118654752440)) +
             x * T(0.39894228040143267794) * std::exp(T{-0.5} * x * x);
    case Activation::gelu_tanh: {
      const T c = T(0.79788456080286535588), a = T(0.044715);
      const T t = std::tanh(c * (x + a * x * x * x));
      return T{0.5} * (T{1} + t) + T{0.5} * x * (T{1} - t * t) * c * (T{1} + T{3} * a * x * x);
    }
    case Activation::silu: {
      const T s = T{1} / (T{1} + std::exp(-x));
      return s * (T{1} + x * (T{1} - s));
    }
    case Activation::relu:
      return x > T{0} ? T{1} : T{0};
    case Activation::tanh: {
      const T t = std::tanh(x);
      return T{1} - t * t;
    }
  }
  return T{1};
}

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace ettin::ref
