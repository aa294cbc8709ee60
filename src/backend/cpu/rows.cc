// Kernels that work on one row at a time: layer norm, rotation, l2 norm, log-sum-exp.
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/rows.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>
#include <limits>

#include "backend/cpu/dispatch.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/math-inl.h"
#include "backend/cpu/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {
namespace {

void layer_norm(const float* x, const NormWeight& norm, float* out) {
  const FloatTag d;
  const int64_t n = norm.size;
  const auto* gain = norm.gain->as<float>();
  const float* bias = norm.bias ? norm.bias->as<float>() : nullptr;
  auto sum = hn::Zero(d);
  for (int64_t c = 0; c < n; c += kLanes) sum = hn::Add(sum, load_part(x + c, n - c));
  const float mean = sum_of(sum) / static_cast<float>(n);
  const auto center = hn::Set(d, mean);
  auto squares = hn::Zero(d);
  for (int64_t c = 0; c < n; c += kLanes) {
    // Filling with the mean makes the missing lanes contribute nothing.
    const auto v = hn::Sub(load_part(x + c, n - c, mean), center);
    squares = hn::MulAdd(v, v, squares);
  }
  const float variance = sum_of(squares) / static_cast<float>(n);
  const auto scale = hn::Set(d, 1.0f / std::sqrt(variance + static_cast<float>(norm.eps)));
  for (int64_t c = 0; c < n; c += kLanes) {
    const auto v = hn::Mul(hn::Sub(load_part(x + c, n - c), center), scale);
    auto y = hn::Mul(v, load_part(gain + c, n - c));
    if (bias != nullptr) y = hn::Add(y, load_part(bias + c, n - c));
    store_part(y, out + c, n - c);
  }
}

void rotate(float* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t k = 0; k < half; k += kLanes) {
    const int64_t n = half - k;
    const auto a = load_part(x + k, n), b = load_part(x + half + k, n);
    const auto c = load_part(cos + k, n), s = load_part(sin + k, n);
    store_part(hn::MulSub(a, c, hn::Mul(b, s)), x + k, n);
    store_part(hn::MulAdd(b, c, hn::Mul(a, s)), x + half + k, n);
  }
}

void l2_normalize(float* x, int64_t n) {
  const FloatTag d;
  auto squares = hn::Zero(d);
  for (int64_t c = 0; c < n; c += kLanes) {
    const auto v = load_part(x + c, n - c);
    squares = hn::MulAdd(v, v, squares);
  }
  const auto norm = hn::Set(d, std::max(std::sqrt(sum_of(squares)), 1e-12f));
  for (int64_t c = 0; c < n; c += kLanes) {
    store_part(hn::Div(load_part(x + c, n - c), norm), x + c, n - c);
  }
}

double log_sum_exp(const float* x, int64_t n) {
  const FloatTag d;
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  auto most = hn::Set(d, kLowest);
  for (int64_t c = 0; c < n; c += kLanes) most = hn::Max(most, load_part(x + c, n - c, kLowest));
  const float largest = largest_of(most);
  if (!std::isfinite(largest)) return static_cast<double>(largest);
  const auto shift = hn::Set(d, largest);
  const hn::ScalableTag<double> dd;
  auto low = hn::Zero(dd), high = hn::Zero(dd);
  for (int64_t c = 0; c < n; c += kLanes) {
    const auto e = vec_exp(hn::Sub(load_part(x + c, n - c, kLowest), shift));
#if HWY_TARGET == HWY_SCALAR
    low = hn::Add(low, hn::PromoteTo(dd, e));
#else
    const hn::Rebind<float, decltype(dd)> half;
    low = hn::Add(low, hn::PromoteTo(dd, hn::LowerHalf(half, e)));
    high = hn::Add(high, hn::PromoteTo(dd, hn::UpperHalf(half, e)));
#endif
  }
  const double sum = hn::GetLane(hn::SumOfLanes(dd, hn::Add(low, high)));
  return static_cast<double>(largest) + std::log(sum);
}

template <Activation kActivation>
void activate_all(const float* x, int64_t n, float* out) {
  for (int64_t c = 0; c < n; c += kLanes) {
    store_part(vec_activate<kActivation>(load_part(x + c, n - c)), out + c, n - c);
  }
}

void activate(Activation activation, const float* x, int64_t n, float* out) {
  switch (activation) {
    case Activation::identity:
      return activate_all<Activation::identity>(x, n, out);
    case Activation::gelu:
      return activate_all<Activation::gelu>(x, n, out);
    case Activation::gelu_tanh:
      return activate_all<Activation::gelu_tanh>(x, n, out);
    case Activation::silu:
      return activate_all<Activation::silu>(x, n, out);
    case Activation::relu:
      return activate_all<Activation::relu>(x, n, out);
    case Activation::tanh:
      return activate_all<Activation::tanh>(x, n, out);
  }
}

void exp_all(const float* x, int64_t n, float* out) {
  for (int64_t c = 0; c < n; c += kLanes) {
    store_part(vec_exp(load_part(x + c, n - c)), out + c, n - c);
  }
}

}  // namespace

const cpu::RowKernels* row_table() {
  static constexpr cpu::RowKernels kTable = {layer_norm,  rotate,   l2_normalize,
                                             log_sum_exp, activate, exp_all};
  return &kTable;
}

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ettin {
HWY_EXPORT(row_table);

const cpu::RowKernels& cpu::row_kernels(int64_t targets) {
  return *pick(HWY_DISPATCH_TABLE(row_table), targets)();
}

}  // namespace ettin
#endif
