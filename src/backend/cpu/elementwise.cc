// Training's operations on single rows: activations, dropout, layer norm, softmax, and rows on
// their way into the operands of products.
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/elementwise.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>
#include <limits>

#include "backend/cpu/dispatch.h"
#include "backend/cpu/gradient_kernels.h"
#include "backend/cpu/math-inl.h"
#include "backend/cpu/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {
namespace {

using WordTag = hn::RebindToUnsigned<FloatTag>;
using WordVec = hn::Vec<WordTag>;

template <template <Activation> class Fn, class... Args>
void for_activation(Activation activation, Args... args) {
  switch (activation) {
    case Activation::identity:
      return Fn<Activation::identity>::run(args...);
    case Activation::gelu:
      return Fn<Activation::gelu>::run(args...);
    case Activation::gelu_tanh:
      return Fn<Activation::gelu_tanh>::run(args...);
    case Activation::silu:
      return Fn<Activation::silu>::run(args...);
    case Activation::relu:
      return Fn<Activation::relu>::run(args...);
    case Activation::tanh:
      return Fn<Activation::tanh>::run(args...);
  }
}

template <Activation kActivation>
struct Gate {
  static void run(const float* u1, const float* u2, int64_t n, float* out) {
    for (int64_t i = 0; i < n; i += kLanes) {
      const auto a = vec_activate<kActivation>(load_part(u1 + i, n - i));
      store_part(hn::Mul(a, load_part(u2 + i, n - i)), out + i, n - i);
    }
  }
};

template <Activation kActivation>
struct GateBackward {
  static void run(const float* u1, const float* u2, const float* dy, int64_t n, float* d1,
                  float* d2) {
    for (int64_t i = 0; i < n; i += kLanes) {
      const ValueSlope a = vec_activate_slope<kActivation>(load_part(u1 + i, n - i));
      const auto g = load_part(dy + i, n - i);
      store_part(hn::Mul(hn::Mul(g, load_part(u2 + i, n - i)), a.slope), d1 + i, n - i);
      store_part(hn::Mul(g, a.value), d2 + i, n - i);
    }
  }
};

template <Activation kActivation>
struct ActivateBackward {
  static void run(const float* x, const float* dy, int64_t n, float* dx) {
    for (int64_t i = 0; i < n; i += kLanes) {
      const ValueSlope a = vec_activate_slope<kActivation>(load_part(x + i, n - i));
      store_part(hn::Mul(a.slope, load_part(dy + i, n - i)), dx + i, n - i);
    }
  }
};

void gate(Activation activation, const float* u1, const float* u2, int64_t n, float* out) {
  for_activation<Gate>(activation, u1, u2, n, out);
}

void gate_backward(Activation activation, const float* u1, const float* u2, const float* dy,
                   int64_t n, float* d1, float* d2) {
  for_activation<GateBackward>(activation, u1, u2, dy, n, d1, d2);
}

void activate_backward(Activation activation, const float* x, const float* dy, int64_t n,
                       float* dx) {
  for_activation<ActivateBackward>(activation, x, dy, n, dx);
}

// dropout_bits (backend/dropout.h) of some columns, in its order of operations.
HWY_INLINE WordVec dropout_bits(uint64_t key, WordVec columns) {
  const WordTag du;
  auto h =
      hn::Add(hn::Set(du, static_cast<uint32_t>(key)), hn::Mul(columns, hn::Set(du, 0x9e3779b9u)));
  h = hn::Xor(h, hn::Set(du, static_cast<uint32_t>(key >> 32)));
  h = hn::Mul(hn::Xor(h, hn::ShiftRight<16>(h)), hn::Set(du, 0x85ebca6bu));
  h = hn::Mul(hn::Xor(h, hn::ShiftRight<13>(h)), hn::Set(du, 0xc2b2ae35u));
  return hn::Xor(h, hn::ShiftRight<16>(h));
}

void dropout(uint64_t key, uint32_t threshold, float scale, const float* x, int64_t n, bool add,
             float* out) {
  const FloatTag d;
  const WordTag du;
  const hn::RebindToSigned<FloatTag> di;
  // Unsigned numbers compare as signed ones with the upper bit flipped.
  const auto flip = hn::Set(du, 0x80000000u);
  const auto limit = hn::BitCast(di, hn::Set(du, threshold ^ 0x80000000u));
  const auto factor = hn::Set(d, scale);
  for (int64_t i = 0; i < n; i += kLanes) {
    const auto bits = dropout_bits(key, hn::Iota(du, static_cast<uint32_t>(i)));
    const auto drop = hn::Lt(hn::BitCast(di, hn::Xor(bits, flip)), limit);
    const auto v = hn::Mul(load_part(x + i, n - i), factor);
    const auto kept = hn::IfThenZeroElse(hn::RebindMask(d, drop), v);
    store_part(add ? hn::Add(load_part(out + i, n - i), kept) : kept, out + i, n - i);
  }
}

void add_row(const float* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    store_part(hn::Add(load_part(out + i, n - i), load_part(x + i, n - i)), out + i, n - i);
  }
}

void multiply_row(const float* x, float factor, int64_t n, float* out) {
  const auto f = hn::Set(FloatTag(), factor);
  for (int64_t i = 0; i < n; i += kLanes) {
    store_part(hn::Mul(load_part(x + i, n - i), f), out + i, n - i);
  }
}

// With n = (x - mean) s, s = 1 / sqrt(var + eps), and g = dy gain:
// dx = s (g - mean(g) - n mean(g n)).
void layer_norm_backward(const float* x, const NormWeight& norm, const float* dy, bool add,
                         float* dx, cpu::NormGradient gradient) {
  const FloatTag d;
  const int64_t n = norm.size;
  const auto* gain = norm.gain->as<float>();
  const float count = static_cast<float>(n);
  auto sum = hn::Zero(d);
  for (int64_t c = 0; c < n; c += kLanes) sum = hn::Add(sum, load_part(x + c, n - c));
  const float mean = sum_of(sum) / count;
  const auto center = hn::Set(d, mean);
  auto squares = hn::Zero(d);
  for (int64_t c = 0; c < n; c += kLanes) {
    // Filling with the mean makes the missing lanes contribute nothing, here and below.
    const auto v = hn::Sub(load_part(x + c, n - c, mean), center);
    squares = hn::MulAdd(v, v, squares);
  }
  const float variance = sum_of(squares) / count;
  const auto scale = hn::Set(d, 1.0f / std::sqrt(variance + static_cast<float>(norm.eps)));
  auto sum_g = hn::Zero(d), sum_gn = hn::Zero(d);
  for (int64_t c = 0; c < n; c += kLanes) {
    const int64_t left = n - c;
    const auto v = hn::Mul(hn::Sub(load_part(x + c, left, mean), center), scale);
    const auto upper = load_part(dy + c, left);
    const auto g = hn::Mul(upper, load_part(gain + c, left));
    sum_g = hn::Add(sum_g, g);
    sum_gn = hn::MulAdd(g, v, sum_gn);
    float* d_gain = gradient.gain + c;
    store_part(hn::MulAdd(upper, v, load_part(d_gain, left)), d_gain, left);
    if (gradient.bias == nullptr) continue;
    float* d_bias = gradient.bias + c;
    store_part(hn::Add(upper, load_part(d_bias, left)), d_bias, left);
  }
  const auto mean_g = hn::Set(d, sum_of(sum_g) / count);
  const auto mean_gn = hn::Set(d, sum_of(sum_gn) / count);
  for (int64_t c = 0; c < n; c += kLanes) {
    const int64_t left = n - c;
    const auto v = hn::Mul(hn::Sub(load_part(x + c, left), center), scale);
    const auto g = hn::Mul(load_part(dy + c, left), load_part(gain + c, left));
    const auto part = hn::NegMulAdd(v, mean_gn, hn::Sub(g, mean_g));
    auto y = hn::Mul(part, scale);
    if (add) y = hn::Add(load_part(dx + c, left), y);
    store_part(y, dx + c, left);
  }
}

cpu::ExponentialSum exponentials(float* x, int64_t n) {
  const FloatTag d;
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  auto most = hn::Set(d, kLowest);
  for (int64_t c = 0; c < n; c += kLanes) most = hn::Max(most, load_part(x + c, n - c, kLowest));
  const float largest = largest_of(most);
  const auto shift = hn::Set(d, largest);
  const hn::ScalableTag<double> dd;
  auto low = hn::Zero(dd), high = hn::Zero(dd);
  for (int64_t c = 0; c < n; c += kLanes) {
    const auto e = vec_exp(hn::Sub(load_part(x + c, n - c, kLowest), shift));
    store_part(e, x + c, n - c);
#if HWY_TARGET == HWY_SCALAR
    low = hn::Add(low, hn::PromoteTo(dd, e));
#else
    const hn::Rebind<float, decltype(dd)> half;
    low = hn::Add(low, hn::PromoteTo(dd, hn::LowerHalf(half, e)));
    high = hn::Add(high, hn::PromoteTo(dd, hn::UpperHalf(half, e)));
#endif
  }
  return {largest, hn::GetLane(hn::SumOfLanes(dd, hn::Add(low, high)))};
}

// float_to_bf16 (base/half.h), left in the upper half of each word; below are other bits.
HWY_INLINE WordVec round_upper(FloatVec x) {
  const FloatTag d;
  const WordTag du;
  const auto u = hn::BitCast(du, x);
  const auto odd = hn::And(hn::ShiftRight<16>(u), hn::Set(du, 1u));
  const auto rounded = hn::Add(u, hn::Add(odd, hn::Set(du, 0x7fffu)));
  const auto nan = hn::Or(u, hn::Set(du, 0x400000u));
  return hn::BitCast(du,
                     hn::IfThenElse(hn::Eq(x, x), hn::BitCast(d, rounded), hn::BitCast(d, nan)));
}

void round_bf16(const float* x, int64_t n, float* out) {
  const FloatTag d;
  const auto upper = hn::Set(WordTag(), 0xffff0000u);
  for (int64_t i = 0; i < n; i += kLanes) {
    const auto w = hn::And(round_upper(load_part(x + i, n - i)), upper);
    store_part(hn::BitCast(d, w), out + i, n - i);
  }
}

void pair_bf16(const float* even, const float* odd, int64_t n, float* out) {
  const FloatTag d;
  const auto upper = hn::Set(WordTag(), 0xffff0000u);
  for (int64_t i = 0; i < n; i += kLanes) {
    const auto lo = hn::ShiftRight<16>(round_upper(load_part(even + i, n - i)));
    const auto hi = hn::And(round_upper(load_part(odd + i, n - i)), upper);
    store_part(hn::BitCast(d, hn::Or(lo, hi)), out + i, n - i);
  }
}

void neighbours_bf16(const float* x, int64_t n, float* out) {
  const FloatTag d;
  const auto upper = hn::Set(WordTag(), 0xffff0000u);
  for (int64_t i = 0; i < n; i += 2 * kLanes) {
    const int64_t left = n - i;
    HWY_ALIGN float whole[2 * kLanes] = {};
    if (left < 2 * kLanes) std::copy(x + i, x + n, whole);
    FloatVec even, odd;
    hn::LoadInterleaved2(d, left < 2 * kLanes ? whole : x + i, even, odd);
    const auto lo = hn::ShiftRight<16>(round_upper(even));
    const auto w = hn::Or(lo, hn::And(round_upper(odd), upper));
    store_part(hn::BitCast(d, w), out + i / 2, (left + 1) / 2);
  }
}

void transpose(const float* const* rows, int64_t count, int64_t k, float* to, int64_t stride) {
  transpose_rows(rows, count, k, to, stride);
}

}  // namespace

const cpu::ElementKernels* element_table() {
  static constexpr cpu::ElementKernels kTable = {
      gate,       gate_backward, activate_backward,   dropout,
      add_row,    multiply_row,  layer_norm_backward, exponentials,
      round_bf16, pair_bf16,     neighbours_bf16,     transpose};
  return &kTable;
}

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ettin {
HWY_EXPORT(element_table);

const cpu::ElementKernels& cpu::element_kernels(int64_t targets) {
  return *pick(HWY_DISPATCH_TABLE(element_table), targets)();
}

}  // namespace ettin
#endif
