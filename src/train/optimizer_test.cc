// The optimisers against steps worked out in double, and what their bits depend on.
#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/rng.h"
#include "model/weights.h"
#include "train/fixed_sum.h"

namespace ettin {
namespace {

template <class T>
struct Tensor {
  std::vector<T> p, g, m, v;
  explicit Tensor(std::vector<T> start)
      : p(std::move(start)), g(p.size()), m(p.size()), v(p.size()) {}

  OptimizedTensor view(bool decays = true) {
    const auto bytes = [](std::vector<T>& x) { return reinterpret_cast<std::byte*>(x.data()); };
    return {"w", static_cast<int64_t>(p.size()), decays, bytes(p), bytes(g), bytes(m), bytes(v)};
  }
};

constexpr OptimizerRecipe kRecipe{.learning_rate = 1e-3, .weight_decay = 0.01};

TEST(StableAdamW, TheThreeGoldenSteps) {
  struct Golden {
    std::array<double, 3> gradient;
    double lr, r;
    std::array<double, 3> after;
  };
  constexpr std::array<Golden, 3> kSteps{{
      {{0.1, -0.2, 0.3}, 1e-3, 1, {0.989000010000, -1.979000005000, 2.969000003333}},
      {{0.4, 0.1, -0.2}, 5e-4, 0.980807171, {0.983614683522, -1.968971451965, 2.954082609526}},
      {{0, 1.5, 0.02}, 5e-4, 0.981163098, {0.978354584354, -1.959424608396, 2.939238230397}},
  }};
  ThreadPool pool(1);
  Tensor<double> w({1, -2, 3});
  Tensor<float> narrow({1, -2, 3});
  const OptimizedTensor wide_view = w.view(), narrow_view = narrow.view();
  for (size_t k = 0; k < kSteps.size(); ++k) {
    for (size_t i = 0; i < 3; ++i) {
      w.g[i] = kSteps[k].gradient[i];
      narrow.g[i] = static_cast<float>(kSteps[k].gradient[i]);
    }
    const OptimizerStep step{static_cast<int64_t>(k) + 1, kSteps[k].lr, 1e-3};
    const auto r = optimizer_step(Dtype::f64, kRecipe, step, {&wide_view, 1}, pool);
    const auto r32 = optimizer_step(Dtype::f32, kRecipe, step, {&narrow_view, 1}, pool);
    EXPECT_NEAR(r[0], kSteps[k].r, 5e-10) << "step " << k + 1;
    EXPECT_NEAR(r32[0], kSteps[k].r, 1e-6) << "step " << k + 1;
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(w.p[i], kSteps[k].after[i], 5e-13) << "step " << k + 1;
      EXPECT_NEAR(narrow.p[i], kSteps[k].after[i], 1e-6) << "step " << k + 1;
    }
  }
  constexpr std::array<double, 3> kM{0.162730627, 0.526937269, 0.030627306};
  constexpr std::array<double, 3> kV{0.056592300, 0.781599782, 0.042863556};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(w.m[i], kM[i], 5e-10);
    EXPECT_NEAR(w.v[i], kV[i], 5e-10);
  }
}

TEST(StableAdamW, ALargeUpdateIsClippedByItsRms) {
  ThreadPool pool(1);
  Tensor<double> w({0, 0});
  const OptimizedTensor view = w.view(false);
  w.g = {1e-3, 1e-3};
  (void)optimizer_step(Dtype::f64, kRecipe, {1, 1e-3, 1e-3}, {&view, 1}, pool);
  const std::vector<double> before = w.p;
  w.g = {5, 5};  // v follows slowly, so g^2 / v is far above 1
  const auto r = optimizer_step(Dtype::f64, kRecipe, {2, 1e-3, 1e-3}, {&view, 1}, pool);
  EXPECT_GT(r[0], 1.3);
  EXPECT_NEAR(before[0] - w.p[0], 1e-3 / r[0] * w.m[0] / (std::sqrt(w.v[0]) + 1e-6), 1e-15);
}

TEST(AdamW, IsKingmaAndBasWithDecoupledDecay) {
  OptimizerRecipe recipe = kRecipe;
  recipe.kind = OptimizerKind::adamw;
  ThreadPool pool(1);
  Tensor<double> w({0.5, -0.25, 4});
  const OptimizedTensor view = w.view();
  std::vector<double> p = w.p, m(3), v(3);  // by the text book, moments biased
  for (int64_t t = 1; t <= 6; ++t) {
    const double lr = 1e-3 / static_cast<double>(t);
    for (size_t i = 0; i < 3; ++i) {
      const double g = random_uniform(1, i, static_cast<uint64_t>(t)) - 0.3;
      w.g[i] = g;
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.98 * v[i] + 0.02 * g * g;
      const double m_hat = m[i] / (1 - std::pow(0.9, t)), v_hat = v[i] / (1 - std::pow(0.98, t));
      p[i] -= lr / 1e-3 * 0.01 * p[i];
      p[i] -= lr * m_hat / (std::sqrt(v_hat) + 1e-6);
    }
    const auto r = optimizer_step(Dtype::f64, recipe, {t, lr, 1e-3}, {&view, 1}, pool);
    EXPECT_EQ(r[0], 1);
    for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(w.p[i], p[i], 1e-12) << t;
  }
}

ModelConfig small_config() {
  ModelConfig c;
  c.vocab_size = 700;
  c.hidden_size = 64;
  c.intermediate_size = 48;
  c.num_layers = 2;
  c.num_heads = 1;
  c.layer_is_global = {true, false};
  return c;
}

struct Model {
  ModelConfig config = small_config();
  Parameters values = make_parameters(config, Dtype::f32);
  Parameters gradients = make_parameters(config, Dtype::f32);
  Parameters m = make_parameters(config, Dtype::f32), v = make_parameters(config, Dtype::f32);
  std::vector<OptimizedTensor> tensors = optimized_tensors(config, &values, gradients, &m, &v);

  // Gradients of many sizes, so that the order of sums shows.
  void draw(uint64_t seed) {
    const auto count = gradients.data->size() / sizeof(float);
    for (size_t i = 0; i < count; ++i) {
      gradients.data->as<float>()[i] = static_cast<float>((random_uniform(seed, 0, i) - 0.5) *
                                                          std::exp(8 * random_uniform(seed, 1, i)));
    }
  }
};

TEST(Optimizer, MatricesDecayAndNothingElseDoes) {
  Model model;
  std::vector<std::string> decaying, kept;
  int64_t count = 0;
  for (const OptimizedTensor& t : model.tensors) {
    (t.decays ? decaying : kept).push_back(t.name);
    count += t.count;
  }
  EXPECT_EQ(count, parameter_count(model.config));
  EXPECT_EQ(decaying.size(), 1U + 2 * 4 + 1);  // embedding, four matrices a layer, head
  EXPECT_EQ(decaying[0], "embeddings.tok_embeddings.weight") << "the embedding decays too";
  EXPECT_EQ(kept.size(), 1U + 3 + 1 + 1 + 1);  // norms of embedding, layers, end, head; one bias
  EXPECT_EQ(kept.back(), "decoder.bias");
}

TEST(Optimizer, BitsDoNotDependOnThreads) {
  Model one, two;
  ThreadPool single(1), pair(2), many(5);
  OptimizerRecipe recipe = kRecipe;
  recipe.clip_norm = 10;
  for (int64_t t = 1; t <= 3; ++t) {
    one.draw(static_cast<uint64_t>(t));
    two.draw(static_cast<uint64_t>(t));
    const double norm = gradient_norm(Dtype::f32, one.tensors, single);
    EXPECT_EQ(norm, gradient_norm(Dtype::f32, two.tensors, pair));
    EXPECT_EQ(norm, gradient_norm(Dtype::f32, two.tensors, many));
    const OptimizerStep step{t, 1e-3, 1e-3, clip_factor(recipe, norm)};
    EXPECT_EQ(optimizer_step(Dtype::f32, recipe, step, one.tensors, single),
              optimizer_step(Dtype::f32, recipe, step, two.tensors, t == 2 ? many : pair));
  }
  const auto equal = [](const Parameters& a, const Parameters& b) {
    return std::memcmp(a.data->data(), b.data->data(), a.data->size()) == 0;
  };
  EXPECT_TRUE(equal(one.values, two.values));
  EXPECT_TRUE(equal(one.m, two.m));
  EXPECT_TRUE(equal(one.v, two.v));
}

TEST(Optimizer, FloatFollowsDoubleOverTensorsOfEveryLength) {
  ThreadPool pool(2);
  for (const size_t n : {1U, 7U, 8U, 9U, 4095U, 4096U, 4097U, 65536U + 4096 * 2 + 3}) {
    Tensor<float> a{std::vector<float>(n, 0.5f)};
    Tensor<double> b{std::vector<double>(n, 0.5)};
    const OptimizedTensor va = a.view(), vb = b.view();
    for (int64_t t = 1; t <= 2; ++t) {
      double squares = 0;
      for (size_t i = 0; i < n; ++i) {
        a.g[i] = static_cast<float>(random_uniform(7, static_cast<uint64_t>(t), i) - 0.5);
        b.g[i] = a.g[i];
        squares += b.g[i] * b.g[i];
      }
      EXPECT_NEAR(gradient_norm(Dtype::f32, {&va, 1}, pool), std::sqrt(squares), 1e-9);
      const auto r = optimizer_step(Dtype::f32, kRecipe, {t, 1e-3, 1e-3}, {&va, 1}, pool);
      const auto s = optimizer_step(Dtype::f64, kRecipe, {t, 1e-3, 1e-3}, {&vb, 1}, pool);
      EXPECT_NEAR(r[0], s[0], 1e-5) << n;
    }
    for (size_t i = 0; i < n; ++i) ASSERT_NEAR(a.p[i], b.p[i], 2e-6) << n << " " << i;
  }
}

TEST(GradientNorm, FindsWhatIsNotFinite) {
  Model model;
  ThreadPool pool(2);
  EXPECT_EQ(gradient_norm(Dtype::f32, model.tensors, pool), 0);
  auto* const bias = reinterpret_cast<float*>(model.gradients.vocab_projection.bias.data);
  bias[699] = 3e38f;
  EXPECT_NEAR(gradient_norm(Dtype::f32, model.tensors, pool), 3e38, 1e32)
      << "a large number is not an infinite one";
  bias[699] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(gradient_norm(Dtype::f32, model.tensors, pool)));
  bias[699] = 0;
  model.gradients.layers[1].qkv.weight.row<float>(0)[77] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(std::isfinite(gradient_norm(Dtype::f32, model.tensors, pool)));
}

TEST(GradientNorm, Clipping) {
  OptimizerRecipe recipe;
  EXPECT_EQ(clip_factor(recipe, 1e9), 1) << "without clip_norm nothing is clipped";
  recipe.clip_norm = 2;
  EXPECT_EQ(clip_factor(recipe, 2), 1);
  EXPECT_EQ(clip_factor(recipe, 8), 0.25);

  // A clipped gradient is the smaller gradient.
  ThreadPool pool(1);
  Tensor<double> a({1, 2, 3}), b({1, 2, 3});
  a.g = {3, 4, 12};
  b.g = {3.0 / 4, 1, 3};
  const OptimizedTensor va = a.view(), vb = b.view();
  (void)optimizer_step(Dtype::f64, kRecipe, {1, 1e-3, 1e-3, 0.25}, {&va, 1}, pool);
  (void)optimizer_step(Dtype::f64, kRecipe, {1, 1e-3, 1e-3}, {&vb, 1}, pool);
  EXPECT_EQ(a.p, b.p);
  EXPECT_EQ(a.m, b.m);
}

TEST(FixedSum, IsATreeOverPositions) {
  std::vector<double> none;
  EXPECT_EQ(tree_sum(none), 0);
  // (1e16 + 1) + (-1e16 + 1) in pairs loses both ones; left to right one is kept.
  std::vector<double> four{1e16, 1, -1e16, 1};
  EXPECT_EQ(tree_sum(four), (1e16 + 1) + (-1e16 + 1));
  std::vector<double> five{1, 2, 3, 4, 5};
  EXPECT_EQ(tree_sum(five), 15);
}

}  // namespace
}  // namespace ettin
