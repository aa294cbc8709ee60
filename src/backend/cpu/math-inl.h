// Vector exp, tanh and the activations, in float. Included once per instruction set (Highway).
//
// Own polynomials, fitted by interpolation at Chebyshev nodes. Every function is a pure function of
// one lane, so results do not depend on where an element lies. backend/math_test.cc measures them
// against std:: functions in double.
#if defined(ETTIN_BACKEND_CPU_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ETTIN_BACKEND_CPU_MATH_INL_H_
#undef ETTIN_BACKEND_CPU_MATH_INL_H_
#else
#define ETTIN_BACKEND_CPU_MATH_INL_H_
#endif

#include <hwy/highway.h>

#include "backend/backend.h"
#include "backend/cpu/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {

// exp(x) for x <= 88; exactly 0 below -87.3, where the result would be subnormal.
// x = n ln2 + r with ln2 in two parts (Cody, Waite 1980); fit error of the polynomial 2.2e-8.
HWY_INLINE FloatVec vec_exp(FloatVec x) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  const auto tiny = hn::Set(d, -87.3f);
  const auto in = hn::Max(hn::Min(x, hn::Set(d, 88.0f)), tiny);
  const auto n = hn::Round(hn::Mul(in, hn::Set(d, 1.44269504f)));
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), in);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  auto p = hn::Set(d, 1.39421597e-3f);
  p = hn::MulAdd(p, r, hn::Set(d, 8.37596785e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.16663401e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.66664049e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.5f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  const auto scale = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  const auto y = hn::Mul(p, hn::BitCast(d, scale));
  // NaN is not below anything, so it must be passed on explicitly: Min and Max may drop it.
  const auto flushed = hn::IfThenElseZero(hn::Not(hn::Lt(x, tiny)), y);
  return hn::IfThenElse(hn::Eq(x, x), flushed, x);
}

// tanh(x): an odd polynomial near zero (fit error 5e-9), else (1 - e) / (1 + e), e = exp(-2 |x|).
HWY_INLINE FloatVec vec_tanh(FloatVec x) {
  const FloatTag d;
  const auto one = hn::Set(d, 1.0f);
  const auto a = hn::Abs(x);
  const auto z = hn::Mul(x, x);
  auto p = hn::Set(d, -5.84964408e-3f);
  p = hn::MulAdd(p, z, hn::Set(d, 2.07513496e-2f));
  p = hn::MulAdd(p, z, hn::Set(d, -5.37679829e-2f));
  p = hn::MulAdd(p, z, hn::Set(d, 1.333168e-1f));
  p = hn::MulAdd(p, z, hn::Set(d, -3.33332837e-1f));
  const auto near = hn::MulAdd(hn::Mul(p, z), x, x);
  const auto e = vec_exp(hn::Mul(a, hn::Set(d, -2.0f)));
  const auto far = hn::CopySignToAbs(hn::Div(hn::Sub(one, e), hn::Add(one, e)), x);
  return hn::IfThenElse(hn::Lt(a, hn::Set(d, 0.6f)), near, far);
}

// Phi(x), the normal distribution function, and exp(-x^2 / 2).
struct Normal {
  FloatVec phi, bell;
};

// Phi(-t) = exp(-t^2 / 2) r P(u) with r = 1 / (t + 3), u = a - b r in [-1, 1] for t in [0, 14];
// P interpolates Phi(-t) exp(t^2 / 2) (t + 3) with error 1.9e-8. The rounding error of t^2 is
// carried along, else the tail would lose digits.
HWY_INLINE Normal vec_normal(FloatVec x) {
  const FloatTag d;
  const auto one = hn::Set(d, 1.0f);
  // Beyond 14 the tail is zero in float; without the limit the error of t^2 would be inf - inf.
  const auto t = hn::Min(hn::Abs(x), hn::Set(d, 14.0f));
  const auto r = hn::Div(one, hn::Add(t, hn::Set(d, 3.0f)));
  const auto u = hn::NegMulAdd(r, hn::Set(d, 7.28571415f), hn::Set(d, 1.42857146f));
  auto p = hn::Set(d, 7.91645198e-6f);
  p = hn::MulAdd(p, u, hn::Set(d, 6.17784963e-6f));
  p = hn::MulAdd(p, u, hn::Set(d, -7.99953632e-5f));
  p = hn::MulAdd(p, u, hn::Set(d, -0.000148025269f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.00063575618f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.00200690539f));
  p = hn::MulAdd(p, u, hn::Set(d, -0.00733808242f));
  p = hn::MulAdd(p, u, hn::Set(d, -0.021141082f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.171394601f));
  p = hn::MulAdd(p, u, hn::Set(d, -0.489726394f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.826377451f));
  const auto square = hn::Mul(t, t);
  const auto e = vec_exp(hn::Mul(square, hn::Set(d, -0.5f)));
  // exp(-(square + error) / 2) = e (1 - error / 2); without FMA the error is taken as 0.
  const auto error = hn::MulSub(t, t, square);
  const auto corrected = hn::NegMulAdd(hn::Mul(error, hn::Set(d, 0.5f)), e, e);
  const auto tail = hn::Mul(hn::Mul(corrected, r), p);
  return {hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(one, tail)), corrected};
}

// x Phi(x): 0.5 x (1 + erf(x / sqrt 2)).
HWY_INLINE FloatVec vec_gelu(FloatVec x) { return hn::Mul(x, vec_normal(x).phi); }

// gelu for rows that are rounded to 8 bits or fewer of significand anyway, in a third of the time:
// Phi(x) = 0.5 + x Q(x^2) with Q of degree 9 for |x| <= 4.4 and constant beyond. The error is below
// 2.5e-5 + 6e-6 |x|.
HWY_INLINE FloatVec vec_gelu_coarse(FloatVec x) {
  const FloatTag d;
  const auto limit = hn::Set(d, 4.4f);
  const auto t = hn::Max(hn::Min(x, limit), hn::Neg(limit));
  const auto u = hn::MulSub(hn::Mul(t, t), hn::Set(d, 0.103305785f), hn::Set(d, 1.0f));
  auto q = hn::Set(d, -1.23612618e-3f);
  q = hn::MulAdd(q, u, hn::Set(d, 3.78709520e-3f));
  q = hn::MulAdd(q, u, hn::Set(d, -5.80017874e-3f));
  q = hn::MulAdd(q, u, hn::Set(d, 9.34787188e-3f));
  q = hn::MulAdd(q, u, hn::Set(d, -1.70879085e-2f));
  q = hn::MulAdd(q, u, hn::Set(d, 2.75901742e-2f));
  q = hn::MulAdd(q, u, hn::Set(d, -3.98862809e-2f));
  q = hn::MulAdd(q, u, hn::Set(d, 5.51344119e-2f));
  q = hn::MulAdd(q, u, hn::Set(d, -7.86211267e-2f));
  q = hn::MulAdd(q, u, hn::Set(d, 0.160406932f));
  const auto phi = hn::MulAdd(t, q, hn::Set(d, 0.5f));
  // Min and Max may drop NaN; the product with x keeps it.
  return hn::Mul(x, phi);
}

// x / (1 + exp(-s)): silu for s = x, and the tanh form of gelu, as 0.5 (1 + tanh y) = 1 / (1 +
// exp(-2 y)).
HWY_INLINE FloatVec vec_times_sigmoid(FloatVec x, FloatVec s) {
  const FloatTag d;
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), vec_exp(hn::Neg(s))));
}

template <Activation kActivation, bool kCoarse = false>
HWY_INLINE FloatVec vec_activate(FloatVec x) {
  const FloatTag d;
  if constexpr (kActivation == Activation::gelu) {
    return kCoarse ? vec_gelu_coarse(x) : vec_gelu(x);
  } else if constexpr (kActivation == Activation::gelu_tanh) {
    const auto cubic = hn::Mul(hn::Mul(x, x), hn::Set(d, 0.044715f));
    const auto y = hn::MulAdd(cubic, x, x);
    return vec_times_sigmoid(x, hn::Mul(y, hn::Set(d, 1.5957691216f)));  // 2 sqrt(2 / pi)
  } else if constexpr (kActivation == Activation::silu) {
    return vec_times_sigmoid(x, x);
  } else if constexpr (kActivation == Activation::relu) {
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Zero(d));
  } else if constexpr (kActivation == Activation::tanh) {
    return vec_tanh(x);
  } else {
    return x;
  }
}

// An activation and its derivative.
struct ValueSlope {
  FloatVec value, slope;
};

// The derivatives: Phi(x) + x phi(x), phi the normal density; with s the logistic function,
// s(y) (1 + x (1 - s(y)) y') for x s(y); that of relu at 0 is 0; of tanh
// 1 / cosh(x)^2 = 4 e / (1 + e)^2 with e = exp(-2 |x|), where 1 - tanh(x)^2 would lose digits.
template <Activation kActivation>
HWY_INLINE ValueSlope vec_activate_slope(FloatVec x) {
  const FloatTag d;
  const auto one = hn::Set(d, 1.0f);
  const auto logistic = [&](FloatVec y, FloatVec dy) HWY_ATTR {
    const auto s = hn::Div(one, hn::Add(one, vec_exp(hn::Neg(y))));
    const auto value = hn::Mul(x, s);
    const auto rest = hn::Mul(hn::Mul(value, hn::Sub(one, s)), dy);
    return ValueSlope{value, hn::Add(s, rest)};
  };
  if constexpr (kActivation == Activation::gelu) {
    const Normal normal = vec_normal(x);
    const auto density = hn::Mul(normal.bell, hn::Set(d, 0.398942280f));
    return {hn::Mul(x, normal.phi), hn::MulAdd(x, density, normal.phi)};
  } else if constexpr (kActivation == Activation::gelu_tanh) {
    const auto two_c = hn::Set(d, 1.5957691216f);  // 2 sqrt(2 / pi)
    const auto square = hn::Mul(x, x);
    const auto y = hn::MulAdd(hn::Mul(square, hn::Set(d, 0.044715f)), x, x);
    const auto dy = hn::MulAdd(square, hn::Set(d, 0.134145f), one);
    return logistic(hn::Mul(y, two_c), hn::Mul(dy, two_c));
  } else if constexpr (kActivation == Activation::silu) {
    return logistic(x, one);
  } else if constexpr (kActivation == Activation::relu) {
    const auto positive = hn::Gt(x, hn::Zero(d));
    return {hn::IfThenElseZero(positive, x), hn::IfThenElseZero(positive, one)};
  } else if constexpr (kActivation == Activation::tanh) {
    const auto e = vec_exp(hn::Mul(hn::Abs(x), hn::Set(d, -2.0f)));
    const auto r = hn::Div(hn::Set(d, 2.0f), hn::Add(one, e));
    return {vec_tanh(x), hn::Mul(hn::Mul(r, r), e)};
  } else {
    return {x, one};
  }
}

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
