// Accuracy of the vector functions against std:: in double, and of the rotary table.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/test_backends.h"

namespace ettin {
namespace {

// Largest error of `actual` relative to |f(x)| + floor, over a fine grid.
double worst_error(const std::vector<float>& x, const std::vector<float>& actual,
                   const std::function<double(double)>& f, double floor) {
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = f(static_cast<double>(x[i]));
    const double error = std::abs(static_cast<double>(actual[i]) - expected);
    worst = std::max(worst, error / (std::abs(expected) + floor));
  }
  return worst;
}

std::vector<float> grid(double from, double to, int64_t count) {
  std::vector<float> x;
  for (int64_t i = 0; i <= count; ++i) {
    x.push_back(static_cast<float>(from + (to - from) * static_cast<double>(i) /
                                              static_cast<double>(count)));
  }
  return x;
}

double gelu(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }
double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
double silu(double x) { return x / (1 + std::exp(-x)); }

struct Bound {
  const char* name;
  Activation activation;
  double (*f)(double);
  double from, to;
  double relative;
  double floor;
};

// gelu keeps its relative accuracy down to -13, where the result is 1e-37; without FMA instructions
// the tail is less exact, which the floor forgives there.
const Bound kBounds[] = {
    {"gelu", Activation::gelu, gelu, -13, 13, 5e-7, 1e-37},
    {"gelu near zero", Activation::gelu, gelu, -1e-3, 1e-3, 5e-7, 1e-37},
    {"gelu_tanh", Activation::gelu_tanh, gelu_tanh, -4, 30, 4e-6, 1e-30},
    {"silu", Activation::silu, silu, -80, 80, 5e-7, 1e-30},
    {"tanh", Activation::tanh, [](double x) { return std::tanh(x); }, -12, 12, 4e-7, 1e-37},
    {"tanh near zero", Activation::tanh, [](double x) { return std::tanh(x); }, -0.01, 0.01, 2e-7,
     1e-37},
};

TEST(CpuMath, ActivationsAgainstDouble) {
  for (const cpu::IsaChoice& isa : cpu::available_isas()) {
    const bool fma = isa.name != "sse4" && isa.name != "scalar" && isa.name != "emu128";
    const cpu::RowKernels& k = cpu::row_kernels(isa.targets);
    for (const Bound& b : kBounds) {
      const std::vector<float> x = grid(b.from, b.to, 2'000'003);
      std::vector<float> y(x.size());
      k.activate(b.activation, x.data(), static_cast<int64_t>(x.size()), y.data());
      const double worst = worst_error(x, y, b.f, b.floor);
      std::printf("%s %s: largest relative error %.3g\n", std::string(isa.name).c_str(), b.name,
                  worst);
      EXPECT_LE(worst, fma ? b.relative : std::max(b.relative, 1e-5)) << isa.name << " " << b.name;
    }
  }
}

TEST(CpuMath, ActivationsOfExtremes) {
  const float inf = INFINITY;
  for (const cpu::IsaChoice& isa : cpu::available_isas()) {
    SCOPED_TRACE(isa.name);
    const cpu::RowKernels& k = cpu::row_kernels(isa.targets);
    const std::vector<float> x = {inf, 1e30f, -1e30f, -200.0f, 200.0f, 0.0f, NAN};
    for (const Activation a :
         {Activation::gelu, Activation::gelu_tanh, Activation::silu, Activation::tanh}) {
      std::vector<float> y(x.size());
      k.activate(a, x.data(), static_cast<int64_t>(x.size()), y.data());
      const bool tanh = a == Activation::tanh;
      EXPECT_EQ(y[0], tanh ? 1.0f : inf);
      EXPECT_FLOAT_EQ(y[1], tanh ? 1.0f : 1e30f);
      EXPECT_NEAR(y[2], tanh ? -1.0f : 0.0f, 1e-6f);
      EXPECT_NEAR(y[3], tanh ? -1.0f : 0.0f, 1e-6f);
      EXPECT_FLOAT_EQ(y[4], tanh ? 1.0f : 200.0f);
      EXPECT_EQ(y[5], 0.0f);
      EXPECT_TRUE(std::isnan(y[6])) << static_cast<int>(a);
    }
  }
}

TEST(CpuMath, Exp) {
  for (const cpu::IsaChoice& isa : cpu::available_isas()) {
    SCOPED_TRACE(isa.name);
    const cpu::RowKernels& k = cpu::row_kernels(isa.targets);
    const std::vector<float> x = grid(-87.2, 87.9, 3'000'001);
    std::vector<float> y(x.size());
    k.exp(x.data(), static_cast<int64_t>(x.size()), y.data());
    const double worst = worst_error(
        x, y, [](double v) { return std::exp(v); }, 0);
    std::printf("%s exp: largest relative error %.3g\n", std::string(isa.name).c_str(), worst);
    EXPECT_LE(worst, 2e-7);
    const float edge[] = {0.0f, -0.0f, -87.4f, -1e30f, -INFINITY, NAN};
    float out[6];
    k.exp(edge, 6, out);
    EXPECT_EQ(out[0], 1.0f);
    EXPECT_EQ(out[1], 1.0f);
    for (int i = 2; i < 5; ++i) EXPECT_EQ(out[i], 0.0f) << edge[i];
    EXPECT_TRUE(std::isnan(out[5]));
  }
}

// Values of the reference implementation's float tables.
TEST(RopeTable, KnownValues) {
  for (const char* name : {"cpu", "ref"}) {
    const auto b = must_make({.name = name, .threads = 2});
    const RopeTable t = b->make_rope_table(160000.0, 64, 7999);
    const float* cos = t.cos->as<float>() + 7998 * 32;
    const float* sin = t.sin->as<float>() + 7998 * 32;
    EXPECT_NEAR(cos[1], -0.4926278f, 2e-7f);
    EXPECT_NEAR(sin[1], 0.8702401f, 2e-7f);
    EXPECT_NEAR(cos[16], 0.4126426f, 2e-7f);
    EXPECT_NEAR(sin[16], 0.9108930f, 2e-7f);
    EXPECT_NEAR(cos[31], 0.9973590f, 2e-7f);
    EXPECT_NEAR(sin[31], 0.0726286f, 2e-7f);
    const float* first = t.sin->as<float>() + 32;  // position 1: sin(inverse frequency)
    EXPECT_NEAR(std::asin(first[1]), 0.687656045f, 1e-7f);
    EXPECT_NEAR(std::asin(first[8]), 0.0500000007f, 1e-8f);
    EXPECT_NEAR(first[31], 9.08884704e-06f, 1e-12f);
  }
}

}  // namespace
}  // namespace ettin
