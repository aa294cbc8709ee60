// The contract of Gradients; formulas are in finite_difference_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "backend/case_data.h"
#include "backend/test_backends.h"
#include "backend/test_gradients.h"
#include "base/half.h"
#include "tensor/stored_tensor.h"

namespace ettin {
namespace {

std::shared_ptr<const Backend> ref(WeightFormat format = WeightFormat::f64, int threads = 1) {
  return must_make({.name = "ref", .format = format, .threads = threads});
}

TEST(Gradients, RefFloatOverTheTable) { check_gradients(ref(WeightFormat::f32, 2)); }
TEST(Gradients, RefBf16OverTheTable) { check_gradients(ref(WeightFormat::bf16, 2)); }

TEST(Gradients, OnlyFormatsThatTrainHaveThem) {
  using enum WeightFormat;
  for (const WeightFormat f : {f64, f32, bf16}) EXPECT_NE(ref(f)->gradients(), nullptr);
  for (const WeightFormat f : {q8, q4, int8, weight_only}) {
    EXPECT_EQ(ref(f)->gradients(), nullptr) << format_name(f);
  }
  const auto exact = must_make({.name = "ref", .format = bf16, .exact_activations = true});
  EXPECT_EQ(exact->gradients(), nullptr);
}

TEST(Gradients, ThreadsDoNotChangeBits) {
  const auto one = ref(WeightFormat::f32, 1), two = ref(WeightFormat::f32, 2);
  for (const GradientCase& c : gradient_cases()) {
    if (c.rows() > 129 || c.in > 64) continue;
    SCOPED_TRACE(to_string(c));
    GradientRun a(one, c), b(two, c);
    a.run();
    b.run();
    for (size_t i = 0; i < a.outputs().size(); ++i) {
      EXPECT_EQ(a.outputs()[i].values, b.outputs()[i].values) << a.outputs()[i].name;
    }
  }
}

TEST(Gradients, BestIsWhereNoLogitIsLarger) {
  const int64_t M = 90, H = 8, V = 700;  // more rows than one block of ref, two ranges of cpu
  for (const auto& b : {ref(WeightFormat::f32), must_make({.name = "cpu", .threads = 2})}) {
    const Gradients& g = *b->gradients();
    Arena arena;
    const View x = make_random(*b, arena, M, H, false, 1, 1),
               w = make_random(*b, arena, V, H, false, 2, 1);
    const View logits = b->allocate(arena, M, V), dx = b->allocate(arena, M, H);
    const View d_w = make_random(*b, arena, V, H, false, 3, 0);
    LinearWeight weight, transposed;
    g.pack(w, View(), &weight, &transposed);
    b->linear(x, weight, Epilogue::store, Activation::identity, logits);
    const std::vector<double> y = read_values(*b, logits);
    std::vector<int32_t> targets;
    for (int64_t m = 0; m < M; ++m) {
      const auto row = y.begin() + m * V;
      const auto largest = static_cast<int32_t>(std::max_element(row, row + V) - row);
      targets.push_back(m % 3 == 0 ? (largest + 1) % static_cast<int32_t>(V) : largest);
    }
    std::vector<double> losses(targets.size());
    for (const bool backward : {false, true}) {
      std::vector<uint8_t> best(targets.size(), 2);
      g.cross_entropy({.x = x,
                       .weight = weight,
                       .transposed = transposed,
                       .targets = targets,
                       .losses = losses,
                       .best = best,
                       .dx = backward ? dx : View(),
                       .d_weight = backward ? d_w : View()});
      for (size_t m = 0; m < best.size(); ++m) EXPECT_EQ(best[m], m % 3 == 0 ? 0 : 1) << m;
    }
  }
}

// What is rounded to bf16, and when: against products of rounded operands in double.
TEST(Gradients, Bf16RoundsBothOperandsOfEveryProduct) {
  const int64_t M = 9, H = 20, V = 35;
  const auto exact = ref(), narrow = make_ref_backend(Dtype::f64, WeightFormat::bf16, false, 1);
  const Gradients &g = *narrow->gradients(), &truth = *exact->gradients();
  Arena arena;
  const auto make = [&](int64_t rows, int64_t cols, uint64_t stream, float scale = 1) {
    return make_random(*exact, arena, rows, cols, false, stream, scale);
  };
  const auto rounded = [&](ConstView v) {
    const View to = make(v.rows, v.cols, 0);
    for (int64_t r = 0; r < v.rows; ++r) {
      for (int64_t c = 0; c < v.cols; ++c) {
        const float narrowed = static_cast<float>(v.row<double>(r)[c]);
        set_element(to, r, c, static_cast<double>(bf16_to_float(float_to_bf16(narrowed))));
      }
    }
    return to;
  };
  const auto same = [&](ConstView a, ConstView b) {
    const std::vector<double> x = read_values(*exact, a), y = read_values(*exact, b);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-12);
  };
  const View x = make(M, H, 1), w = make(V, H, 2), dy = make(M, V, 3), gain = make(1, H, 4);
  const View d_w = make(V, H, 5, 0), expected = make(V, H, 5, 0), normed = make(M, H, 6);
  NormWeight norm;
  g.pack(gain, View(), 1e-5, &norm);
  exact->layer_norm(x, norm, normed);
  g.linear_weight_backward(dy, x, norm, d_w);
  truth.linear_weight_backward(rounded(dy), rounded(normed), NormWeight(), expected);
  same(d_w, expected);

  LinearWeight weight, transposed, exact_weight, exact_transposed;
  g.pack(w, View(), &weight, &transposed);
  truth.pack(rounded(w), View(), &exact_weight, &exact_transposed);
  std::vector<int32_t> targets = {1, 0, 34, 5, 5, 5, 2, 0, 17};
  std::vector<double> losses(targets.size()), log_sums(targets.size());
  const View dx = make(M, H, 7), d_w2 = make(V, H, 5, 0), d_b = make(1, V, 5, 0);
  g.cross_entropy({.x = x,
                   .weight = weight,
                   .transposed = transposed,
                   .targets = targets,
                   .scale = 0.3,
                   .losses = losses,
                   .dx = dx,
                   .d_weight = d_w2,
                   .d_bias = d_b});
  const View y = make(M, V, 8), dx_expected = make(M, H, 9), d_w_expected = make(V, H, 5, 0);
  exact->linear(rounded(x), exact_weight, Epilogue::store, Activation::identity, y);
  exact->log_sum_exp(y, log_sums);
  for (int64_t m = 0; m < M; ++m) {
    const size_t i = to_size(m);
    EXPECT_NEAR(losses[i], log_sums[i] - y.row<double>(m)[targets[i]], 1e-12);
    for (int64_t v = 0; v < V; ++v) {
      double& e = y.row<double>(m)[v];
      e = 0.3 * (std::exp(e - log_sums[i]) - (v == targets[i] ? 1 : 0));
    }
  }
  const View d_b_expected = make(1, V, 5, 0);
  truth.linear_bias_backward(y, d_b_expected);
  truth.linear_weight_backward(rounded(y), rounded(x), NormWeight(), d_w_expected);
  exact->linear(rounded(y), exact_transposed, Epilogue::store, Activation::identity, dx_expected);
  same(d_b, d_b_expected);
  same(d_w2, d_w_expected);
  same(dx, dx_expected);
}

// Views, and bits of their values, of one backend.
class OnRef : public ::testing::TestWithParam<WeightFormat> {
 protected:
  View make(int64_t rows, int64_t cols, uint64_t stream, float scale = 1) {
    return make_random(*b_, arena_, rows, cols, false, stream, scale);
  }
  std::vector<double> values(ConstView v) const { return read_values(*b_, v); }

  std::shared_ptr<const Backend> b_ = ref(GetParam());
  const Gradients& g_ = *b_->gradients();
  Arena arena_;
};

INSTANTIATE_TEST_SUITE_P(Formats, OnRef,
                         ::testing::Values(WeightFormat::f64, WeightFormat::f32,
                                           WeightFormat::bf16),
                         [](const auto& format) { return std::string(format_name(format.param)); });

TEST_P(OnRef, AttentionIsThatOfTheForward) {
  const std::vector<int64_t> starts = {0, 3, 3, 40};
  const int64_t heads = 2, H = 32, D = H / heads;
  for (const AttentionSpec spec : {AttentionSpec{}, AttentionSpec{5, 2}, AttentionSpec{7, 0}}) {
    const View qkv = make(40, 3 * H, 1, 3), out = make(40, H, 2), same = make(40, H, 3);
    const View log_sums = make(40, heads, 4);
    g_.attention(qkv, starts, spec, heads, out, log_sums);
    b_->attention(qkv, starts, spec, heads, {}, same);
    EXPECT_EQ(values(out), values(same));
    const std::vector<double> x = values(qkv), sums = values(log_sums);
    for (size_t n = 0; n + 1 < starts.size(); ++n) {
      for (int64_t t = starts[n]; t < starts[n + 1]; ++t) {
        const auto [first, last] = visible_keys(spec, t - starts[n], starts[n + 1] - starts[n]);
        for (int64_t h = 0; h < heads; ++h) {
          double sum = 0;
          for (int64_t p = starts[n] + first; p < starts[n] + last; ++p) {
            double score = 0;
            for (int64_t d = 0; d < D; ++d) {
              score += x[to_size(t * 3 * H + h * D + d)] * x[to_size(p * 3 * H + H + h * D + d)];
            }
            sum += std::exp(score / std::sqrt(static_cast<double>(D)));
          }
          EXPECT_NEAR(sums[to_size(t * heads + h)], std::log(sum), 1e-5);
        }
      }
    }
  }
}

// Training stores a product and then activates it, where the forward does both in one.
TEST_P(OnRef, ActivationsAreThoseOfLinear) {
  const int64_t T = 5, in = 24, out = 14;
  std::vector<float> elements;
  for (int64_t i = 0; i < out * in; ++i) elements.push_back(draw(1, i));
  StoredTensor w;
  w.name = "w";
  w.dtype = Dtype::f32;
  w.shape = {static_cast<uint64_t>(out), static_cast<uint64_t>(in)};
  w.bytes = std::as_bytes(std::span(elements));
  const LinearWeight weight = b_->pack_matrix({{&w}, {}}, MatrixUse::linear);
  const LinearWeight gated = b_->pack_matrix({{&w}, {}}, MatrixUse::gated);
  LinearWeight packed;
  g_.pack(make(out, in, 1), View(), &packed, nullptr);  // the same numbers
  const View x = make(T, in, 2), y = make(T, out, 3), again = make(T, out, 4);
  const View once = make(T, out, 5), twice = make(T, out, 6);
  const View half = make(T, out / 2, 7), half_again = make(T, out / 2, 8);
  b_->linear(x, weight, Epilogue::store, Activation::identity, y);
  b_->linear(x, packed, Epilogue::store, Activation::identity, again);
  EXPECT_EQ(values(y), values(again));
  for (const Activation a : {Activation::identity, Activation::gelu, Activation::gelu_tanh,
                             Activation::silu, Activation::relu, Activation::tanh}) {
    b_->linear(x, weight, Epilogue::store, a, once);
    g_.activate(y, a, twice);
    EXPECT_EQ(values(once), values(twice));
    b_->linear(x, gated, Epilogue::gated, a, half);
    g_.gate(y, a, half_again);
    EXPECT_EQ(values(half), values(half_again));
  }
}

TEST_P(OnRef, Dropout) {
  const int64_t T = 200, H = 96;
  std::vector<uint64_t> keys;
  for (uint64_t t = 0; t < to_size(T); ++t) keys.push_back(random_bits(1, 2, t));
  const View x = make(T, H, 1), out = make(T, H, 2), other = make(T, H, 3);
  for (const double rate : {0.0, 0.1, 0.5, 0.9}) {
    const Dropout dropout = {rate, keys, 4};
    g_.dropout(x, dropout, Epilogue::store, out);
    const std::vector<double> before = values(x), after = values(out);
    double zeros = 0;
    for (size_t i = 0; i < after.size(); ++i) {
      if (after[i] == 0) {
        ++zeros;
      } else {
        EXPECT_NEAR(after[i], before[i] / (1 - rate), 2e-6);
      }
    }
    const double n = static_cast<double>(T * H);
    EXPECT_NEAR(zeros / n, rate, 4 * std::sqrt(rate * (1 - rate) / n));
    // Added, to what is there.
    const std::vector<double> there = values(other);
    g_.dropout(x, dropout, Epilogue::add, other);
    const std::vector<double> sum = values(other);
    for (size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(sum[i], there[i] + after[i], 3e-6);
    // A row's zeros depend on its key alone; another layer has others.
    const View last = make(1, H, 5);
    g_.dropout(x.slice_rows(T - 1, 1), {rate, std::span(keys).last(1), 4}, Epilogue::store, last);
    EXPECT_EQ(values(last), values(out.slice_rows(T - 1, 1)));
    g_.dropout(x.slice_rows(T - 1, 1), {rate, std::span(keys).last(1), 5}, Epilogue::store, last);
    EXPECT_EQ(values(last) == values(out.slice_rows(T - 1, 1)), rate == 0);
  }
}

// A step's microbatches sum up: two calls give what one gives, added to what was there.
TEST_P(OnRef, GradientsOfWeightsGrow) {
  const int64_t T = 21, in = 10, V = 30, cut = 8;
  const std::vector<int32_t> ids = {3, 1, 3, 3, 29, 0, 7, 3, 3,  2, 1,
                                    1, 4, 9, 9, 9,  3, 0, 5, 28, 3};
  const std::vector<int64_t> rows(ids.begin(), ids.end());
  const View x = make(T, in, 1), upper = make(T, in, 2), w = make(V, in, 3), dy = make(T, V, 4);
  const View b = make(1, V, 5), gain = make(1, in, 6);
  LinearWeight weight, transposed;
  NormWeight norm;
  g_.pack(w, b, &weight, &transposed);
  g_.pack(gain, View(), 1e-5, &norm);
  struct Case {
    const char* name;
    int64_t rows, cols;
    std::function<void(int64_t first, int64_t n, View grows, View dx)> run;
  };
  const auto part = [](auto& v, int64_t first, int64_t n) {
    return std::span(v).subspan(to_size(first), to_size(n));
  };
  std::vector<double> losses(to_size(T));
  const View no_matrix = make(V, in, 7), no_row = make(1, in, 7), no_bias = make(1, V, 7);
  const auto cross_entropy = [&](int64_t first, int64_t n, View dx, View d_weight, View d_bias) {
    g_.cross_entropy({.x = x.slice_rows(first, n),
                      .weight = weight,
                      .transposed = transposed,
                      .targets = part(ids, first, n),
                      .scale = 0.3,
                      .losses = part(losses, first, n),
                      .dx = dx,
                      .d_weight = d_weight,
                      .d_bias = d_bias});
  };
  const Case cases[] = {
      {"linear_weight", V, in,
       [&](int64_t first, int64_t n, View grows, View) {
         g_.linear_weight_backward(dy.slice_rows(first, n), x.slice_rows(first, n), norm, grows);
       }},
      {"linear_bias", 1, V,
       [&](int64_t first, int64_t n, View grows, View) {
         g_.linear_bias_backward(dy.slice_rows(first, n), grows);
       }},
      {"layer_norm gain", 1, in,
       [&](int64_t first, int64_t n, View grows, View dx) {
         g_.layer_norm_backward(x.slice_rows(first, n), norm, upper.slice_rows(first, n),
                                Epilogue::store, dx, grows, no_row);
       }},
      {"layer_norm bias", 1, in,
       [&](int64_t first, int64_t n, View grows, View dx) {
         g_.layer_norm_backward(x.slice_rows(first, n), norm, upper.slice_rows(first, n),
                                Epilogue::store, dx, no_row, grows);
       }},
      {"embed", V, in,
       [&](int64_t first, int64_t n, View grows, View) {
         g_.embed_backward(upper.slice_rows(first, n), part(ids, first, n), grows);
       }},
      {"gather_rows", V, in,
       [&](int64_t first, int64_t n, View grows, View) {
         g_.gather_rows_backward(upper.slice_rows(first, n), part(rows, first, n), grows);
       }},
      {"cross_entropy weight", V, in,
       [&](int64_t first, int64_t n, View grows, View dx) {
         cross_entropy(first, n, dx, grows, no_bias);
       }},
      {"cross_entropy bias", 1, V,
       [&](int64_t first, int64_t n, View grows, View dx) {
         cross_entropy(first, n, dx, no_matrix, grows);
       }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const View once = make(c.rows, c.cols, 8), twice = make(c.rows, c.cols, 8);
    const View from_zero = make(c.rows, c.cols, 8, 0);
    const View dx = make(T, in, 9), dx_parts = make(T, in, 10);
    const std::vector<double> before = values(once);
    c.run(0, T, from_zero, dx);
    c.run(0, T, once, dx);
    c.run(0, cut, twice, dx_parts.slice_rows(0, cut));
    c.run(cut, T - cut, twice, dx_parts.slice_rows(cut, T - cut));
    EXPECT_EQ(values(once), values(twice));
    const std::vector<double> alone = values(from_zero), sum = values(once);
    double largest = 0;
    for (size_t i = 0; i < sum.size(); ++i) {
      largest = std::max(largest, std::abs(alone[i]));
      EXPECT_NEAR(sum[i], before[i] + alone[i], 1e-5);
    }
    EXPECT_GT(largest, 0.1);
  }
}

TEST_P(OnRef, LayerNormBackwardStoresOrAdds) {
  const View x = make(4, 9, 1), gain = make(1, 9, 2), dy = make(4, 9, 3);
  const View stored = make(4, 9, 4, NAN), added = make(4, 9, 5), d_gain = make(1, 9, 6);
  NormWeight norm;
  g_.pack(gain, View(), 1e-5, &norm);
  const std::vector<double> before = values(added);
  g_.layer_norm_backward(x, norm, dy, Epilogue::store, stored, d_gain, View());
  g_.layer_norm_backward(x, norm, dy, Epilogue::add, added, d_gain, View());
  const std::vector<double> d = values(stored), sum = values(added);
  for (size_t i = 0; i < d.size(); ++i) EXPECT_NEAR(sum[i], before[i] + d[i], 1e-6);
  g_.layer_norm_backward(x, norm, dy, Epilogue::store, dy, d_gain, View());  // over its input
  EXPECT_EQ(values(dy), d);
}

TEST_P(OnRef, PackRefillsWhatItPacked) {
  const View first = make(6, 4, 1), second = make(6, 4, 2);
  const View bias = make(1, 6, 3), other_bias = make(1, 6, 4);
  LinearWeight weight, transposed, fresh;
  g_.pack(first, bias, &weight, &transposed);
  const LinearWeight shared = weight;  // as a network holds it
  const Buffer *data = weight.data.get(), *b = weight.bias.get(), *t = transposed.data.get();
  g_.pack(second, other_bias, &weight, &transposed);
  EXPECT_EQ(weight.data.get(), data);
  EXPECT_EQ(weight.bias.get(), b);
  EXPECT_EQ(transposed.data.get(), t);
  EXPECT_EQ(transposed.bias, nullptr);
  g_.pack(second, other_bias, &fresh, nullptr);
  EXPECT_EQ(0, std::memcmp(shared.data->data(), fresh.data->data(), fresh.data->size()));
  EXPECT_EQ(0, std::memcmp(shared.bias->data(), fresh.bias->data(), fresh.bias->size()));
  // Another shape is another weight; those who share the old one keep it.
  g_.pack(make(3, 4, 5), View(), &weight, nullptr);
  EXPECT_NE(weight.data.get(), data);
  EXPECT_EQ(weight.bias, nullptr);
  EXPECT_EQ(weight.out_features, 3);
  EXPECT_EQ(0, std::memcmp(shared.data->data(), fresh.data->data(), fresh.data->size()));
}

// Memory of others, a mapped file even, is never written to.
TEST_P(OnRef, PackDoesNotTouchWhatItDidNotPack) {
  const View master = make(6, 4, 1), bias = make(1, 6, 2);
  LinearWeight packed, foreign;
  g_.pack(master, bias, &packed, nullptr);
  const auto copy = [](const Buffer& from) {
    auto to = std::make_shared<Buffer>(from.size());
    std::memcpy(to->data(), from.data(), from.size());
    return to;
  };
  foreign = packed;
  foreign.data = copy(*packed.data);
  foreign.bias = copy(*packed.bias);
  const std::shared_ptr<const Buffer> data = foreign.data, b = foreign.bias;
  g_.pack(make(6, 4, 3), make(1, 6, 4), &foreign, nullptr);
  EXPECT_NE(foreign.data, data);
  EXPECT_NE(foreign.bias, b);
  EXPECT_EQ(0, std::memcmp(data->data(), packed.data->data(), data->size()));
  EXPECT_EQ(0, std::memcmp(b->data(), packed.bias->data(), b->size()));
}

TEST_P(OnRef, PackOfNormRefills) {
  NormWeight norm;
  g_.pack(make(1, 5, 1), make(1, 5, 2), 1e-5, &norm);
  const Buffer *gain = norm.gain.get(), *bias = norm.bias.get();
  const View other = make(1, 5, 3), x = make(2, 5, 4), y = make(2, 5, 5), same = make(2, 5, 6);
  g_.pack(other, other, 1e-3, &norm);
  EXPECT_EQ(norm.gain.get(), gain);
  EXPECT_EQ(norm.bias.get(), bias);
  NormWeight fresh;
  g_.pack(other, other, 1e-3, &fresh);
  b_->layer_norm(x, norm, y);
  b_->layer_norm(x, fresh, same);
  EXPECT_EQ(values(y), values(same));
  g_.pack(other, View(), 1e-3, &norm);
  EXPECT_EQ(norm.bias, nullptr);
}

}  // namespace
}  // namespace ettin
