// The reference gradients in double against central differences of the forward.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "backend/case_data.h"
#include "backend/gradients.h"
#include "backend/ref/ref_backend.h"

namespace ettin {
namespace {

class FiniteDifference : public ::testing::Test {
 protected:
  View make(int64_t rows, int64_t cols, float scale = 1) {
    return make_random(*b_, arena_, rows, cols, false, ++stream_, scale);
  }
  View zeros(int64_t rows, int64_t cols) { return make(rows, cols, 0); }
  View copy(ConstView v) {
    const View to = zeros(v.rows, v.cols);
    for (int64_t r = 0; r < v.rows; ++r) std::copy_n(v.row<double>(r), v.cols, to.row<double>(r));
    return to;
  }

  static double product(ConstView a, ConstView b) {
    double sum = 0;
    for (int64_t r = 0; r < a.rows; ++r) {
      for (int64_t c = 0; c < a.cols; ++c) sum += a.row<double>(r)[c] * b.row<double>(r)[c];
    }
    return sum;
  }

  // `gradient` is that of loss() by the elements of `v`. Errors are relative to its largest
  // element.
  void expect_gradient(const char* what, View v, ConstView gradient,
                       const std::function<double()>& loss) {
    SCOPED_TRACE(what);
    constexpr double kStep = 1e-5;
    double largest = 0, error = 0;
    for (int64_t r = 0; r < v.rows; ++r) {
      for (int64_t c = 0; c < v.cols; ++c) {
        double& x = v.row<double>(r)[c];
        const double kept = x;
        x = kept + kStep;
        const double above = loss();
        x = kept - kStep;
        const double below = loss();
        x = kept;
        const double g = gradient.row<double>(r)[c];
        largest = std::max(largest, std::abs(g));
        error = std::max(error, std::abs((above - below) / (2 * kStep) - g));
      }
    }
    EXPECT_GT(largest, 1e-3);
    EXPECT_LE(error / largest, 2e-9);
  }

  std::shared_ptr<const Backend> b_ = make_ref_backend(Dtype::f64, WeightFormat::f64, false, 1);
  const Gradients& g_ = *b_->gradients();
  Arena arena_;
  uint64_t stream_ = 100;
};

TEST_F(FiniteDifference, LayerNorm) {
  const View x = make(5, 7, 3), gain = make(1, 7), bias = make(1, 7), dy = make(5, 7);
  const View y = zeros(5, 7), dx = zeros(5, 7), d_gain = zeros(1, 7), d_bias = zeros(1, 7);
  NormWeight norm;
  const auto loss = [&] {
    g_.pack(gain, bias, 0.1, &norm);  // an eps that counts
    b_->layer_norm(x, norm, y);
    return product(y, dy);
  };
  loss();
  g_.layer_norm_backward(x, norm, dy, Epilogue::store, dx, d_gain, d_bias);
  expect_gradient("x", x, dx, loss);
  expect_gradient("gain", gain, d_gain, loss);
  expect_gradient("bias", bias, d_bias, loss);
}

// The way of the model: norm and product in one, then back through both.
TEST_F(FiniteDifference, LinearOfNorm) {
  const View x = make(5, 6, 3), gain = make(1, 6), bias = make(1, 6), dy = make(5, 4);
  const View w = make(4, 6), b = make(1, 4), y = zeros(5, 4), d_normed = zeros(5, 6);
  const View dx = zeros(5, 6), d_gain = zeros(1, 6), d_bias = zeros(1, 6);
  const View d_w = zeros(4, 6), d_b = zeros(1, 4);
  NormWeight norm;
  LinearWeight weight, transposed;
  const auto loss = [&] {
    g_.pack(gain, bias, 1e-5, &norm);
    g_.pack(w, b, &weight, &transposed);
    b_->linear(x, norm, weight, Epilogue::store, Activation::identity, y);
    return product(y, dy);
  };
  loss();
  g_.linear_weight_backward(dy, x, norm, d_w);
  g_.linear_bias_backward(dy, d_b);
  b_->linear(dy, transposed, Epilogue::store, Activation::identity, d_normed);
  g_.layer_norm_backward(x, norm, d_normed, Epilogue::store, dx, d_gain, d_bias);
  expect_gradient("x", x, dx, loss);
  expect_gradient("weight", w, d_w, loss);
  expect_gradient("bias", b, d_b, loss);
  expect_gradient("gain", gain, d_gain, loss);
  expect_gradient("bias of the norm", bias, d_bias, loss);
}

TEST_F(FiniteDifference, Linear) {
  const View x = make(3, 5), w = make(4, 5), dy = make(3, 4), y = zeros(3, 4);
  const View dx = zeros(3, 5), d_w = zeros(4, 5);
  LinearWeight weight, transposed;
  const auto loss = [&] {
    g_.pack(w, View(), &weight, &transposed);
    b_->linear(x, weight, Epilogue::store, Activation::identity, y);
    return product(y, dy);
  };
  loss();
  g_.linear_weight_backward(dy, x, NormWeight(), d_w);
  b_->linear(dy, transposed, Epilogue::store, Activation::identity, dx);
  expect_gradient("x", x, dx, loss);
  expect_gradient("weight", w, d_w, loss);
}

TEST_F(FiniteDifference, Activations) {
  for (const Activation a : {Activation::identity, Activation::gelu, Activation::gelu_tanh,
                             Activation::silu, Activation::relu, Activation::tanh}) {
    SCOPED_TRACE(static_cast<int>(a));
    const View x = make(6, 8, 3), dy = make(6, 8), y = zeros(6, 8), dx = zeros(6, 8);
    g_.activate_backward(x, a, dy, dx);
    expect_gradient("activate", x, dx, [&] {
      g_.activate(x, a, y);
      return product(y, dy);
    });
    const View half = make(6, 4), out = zeros(6, 4);
    g_.gate_backward(x, a, half, dx);
    expect_gradient("gate", x, dx, [&] {
      g_.gate(x, a, out);
      return product(out, half);
    });
  }
}

TEST_F(FiniteDifference, Dropout) {
  const std::vector<uint64_t> keys = {5, 6, 7};
  const Dropout dropout = {0.4, keys, 2};
  const View x = make(3, 9), dy = make(3, 9), y = zeros(3, 9), dx = zeros(3, 9);
  g_.dropout(dy, dropout, Epilogue::store, dx);
  expect_gradient("x", x, dx, [&] {
    g_.dropout(x, dropout, Epilogue::store, y);
    return product(y, dy);
  });
}

TEST_F(FiniteDifference, Rope) {
  const std::vector<int32_t> positions = {0, 1, 17};
  const RopeTable table = b_->make_rope_table(100, 6, 20);
  const View x = make(3, 36), dy = make(3, 36), dx = copy(dy);
  g_.rope_backward(dx, positions, table, 2);
  expect_gradient("x", x, dx, [&] {
    const Arena::Mark mark = arena_.mark();
    const View y = copy(x);
    b_->rope(y, positions, table, 2);
    const double loss = product(y, dy);
    arena_.release_to(mark);
    return loss;
  });
}

TEST_F(FiniteDifference, Attention) {
  const std::vector<int64_t> starts = {0, 1, 8, 8, 12};
  const int64_t heads = 2, H = 6;
  for (const AttentionSpec spec : {AttentionSpec{}, AttentionSpec{AttentionSpec::kUnlimited, 0},
                                   AttentionSpec{2, 2}, AttentionSpec{1, 0}}) {
    SCOPED_TRACE(testing::Message() << spec.left << ", " << spec.right);
    const View x = make(12, 3 * H, 2), dy = make(12, H), y = zeros(12, H);
    const View log_sums = zeros(12, heads), dx = make(12, 3 * H);  // overwritten, not added to
    const auto loss = [&] {
      g_.attention(x, starts, spec, heads, y, log_sums);
      return product(y, dy);
    };
    loss();
    g_.attention_backward(x, starts, spec, heads, y, log_sums, dy, dx);
    expect_gradient("qkv", x, dx, loss);
  }
}

TEST_F(FiniteDifference, RowsOfTables) {
  const std::vector<int32_t> ids = {3, 0, 3, 3, 2};
  const std::vector<int64_t> rows = {1, 4, 1};
  const View table = make(6, 4), dy = make(5, 4), y = zeros(5, 4), d_table = zeros(6, 4);
  g_.embed_backward(dy, ids, d_table);
  expect_gradient("embed", table, d_table, [&] {
    g_.embed(table, ids, y);
    return product(y, dy);
  });
  const View upper = dy.slice_rows(0, 3), out = zeros(3, 4), dx = zeros(6, 4);
  g_.gather_rows_backward(upper, rows, dx);
  expect_gradient("gather_rows", table, dx, [&] {
    b_->gather_rows(table, rows, out);
    return product(out, upper);
  });
}

TEST_F(FiniteDifference, Pooling) {
  const std::vector<int64_t> starts = {0, 1, 4, 9};
  for (const Pooling p : {Pooling::mean, Pooling::cls, Pooling::last, Pooling::weighted_mean}) {
    SCOPED_TRACE(static_cast<int>(p));
    const View x = make(9, 4), dy = make(3, 4), y = zeros(3, 4), dx = make(9, 4);
    g_.pool_backward(dy, starts, p, dx);
    expect_gradient("x", x, dx, [&] {
      b_->pool(x, starts, p, y);
      return product(y, dy);
    });
  }
}

TEST_F(FiniteDifference, CrossEntropy) {
  const int64_t M = 19, H = 4, V = 7;  // more rows than one block of ref
  std::vector<int32_t> targets;
  for (int32_t m = 0; m < M; ++m) targets.push_back(m * 3 / 2 % static_cast<int32_t>(V));
  const View x = make(M, H), w = make(V, H), b = make(1, V);
  const View dx = make(M, H), d_w = zeros(V, H), d_b = zeros(1, V);
  LinearWeight weight, transposed;
  std::vector<double> losses(targets.size());
  const double scale = 0.7;
  CrossEntropy call{.x = x,
                    .weight = weight,
                    .transposed = transposed,
                    .targets = targets,
                    .scale = scale,
                    .losses = losses};
  const auto loss = [&] {
    g_.pack(w, b, &weight, &transposed);
    g_.cross_entropy(call);
    double sum = 0;
    for (const double l : losses) sum += l;
    return scale * sum;
  };
  loss();
  call.dx = dx;
  call.d_weight = d_w;
  call.d_bias = d_b;
  g_.cross_entropy(call);
  call.dx = View();  // only the loss again
  expect_gradient("x", x, dx, loss);
  expect_gradient("weight", w, d_w, loss);
  expect_gradient("bias", b, d_b, loss);
  // The losses themselves, from logits that do exist.
  const View y = zeros(M, V);
  std::vector<double> log_sums(targets.size());
  b_->linear(x, weight, Epilogue::store, Activation::identity, y);
  b_->log_sum_exp(y, log_sums);
  for (int64_t m = 0; m < M; ++m) {
    const size_t i = to_size(m);
    EXPECT_DOUBLE_EQ(losses[i], log_sums[i] - y.row<double>(m)[targets[i]]);
  }
}

}  // namespace
}  // namespace ettin
