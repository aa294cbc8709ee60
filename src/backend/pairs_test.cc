// The products of training on bf16 pairs, as machines with AVX-512 BF16 run them, with plain loops
// in the place of their instructions: the layouts are tested on every machine.
#include <gtest/gtest.h>

#include "backend/case_data.h"
#include "backend/cpu/cross_entropy.h"
#include "backend/cpu/operands.h"
#include "backend/cpu/weight_gradient.h"
#include "backend/test_backends.h"
#include "base/half.h"
#include "tensor/compare.h"

namespace ettin {
namespace {

constexpr int64_t kRowsAtOnce = 4;
int64_t panel_width = 0;  // of the instruction set under test

float half_at(const std::byte* words, int64_t word, int64_t part) {
  return bf16_to_float(reinterpret_cast<const uint16_t*>(words)[2 * word + part]);
}

int64_t one_panel(int64_t, int64_t) { return 1; }
int64_t row_bytes(int64_t k) { return round_up(k, 16) * 2; }

void prepare(const float* x, int64_t k, std::byte* row) {
  auto* halves = reinterpret_cast<uint16_t*>(row);
  for (int64_t i = 0; i < round_up(k, 16); ++i) halves[i] = i < k ? float_to_bf16(x[i]) : 0;
}

void multiply_pairs(int64_t rows, int64_t panels, const cpu::DotArgs& args) {
  for (int64_t r = 0; r < rows; ++r) {
    const std::byte* x = args.x + r * args.x_stride;
    for (int64_t c = 0; c < panels * panel_width; ++c) {
      const std::byte* panel = args.panels + c / panel_width * args.panel_bytes;
      float sum = 0;
      for (int64_t k = 0; k < (args.k + 1) / 2; ++k) {
        for (const int64_t part : {0, 1}) {
          sum += half_at(x, k, part) * half_at(panel, k * panel_width + c % panel_width, part);
        }
      }
      args.sums[r * args.sums_stride + c] = sum;
    }
  }
}

class Pairs : public ::testing::Test {
 protected:
  View make(int64_t rows, int64_t cols, uint64_t stream) {
    return make_random(*b_, arena_, rows, cols, false, stream);
  }
  void expect_near(ConstView actual, ConstView expected, double tolerance) {
    const std::vector<double> a = read_values(*b_, actual), e = read_values(*b_, expected);
    const Difference d = compare(std::span<const double>(a), std::span<const double>(e));
    EXPECT_EQ(d.non_finite, 0);
    EXPECT_LE(d.relative(), tolerance) << "at " << d.worst;
  }

  std::shared_ptr<const Backend> b_ =
      must_make({.name = "cpu", .format = WeightFormat::bf16, .threads = 2});
  cpu::IsaChoice isa_ = cpu::available_isas().back();
  const cpu::MatrixKernels& matrix_ = cpu::matrix_kernels(isa_.targets);
  const cpu::DotKernels dot_ = {kRowsAtOnce,    one_panel, row_bytes, prepare, nullptr,
                                multiply_pairs, nullptr,   nullptr,   nullptr};
  cpu::TrainingContext rounded_ = {WeightFormat::bf16,
                                   nullptr,
                                   matrix_,
                                   cpu::row_kernels(isa_.targets),
                                   cpu::element_kernels(isa_.targets),
                                   b_->threads()};
  cpu::TrainingContext pairs_ = {WeightFormat::bf16, &dot_,        matrix_, rounded_.rows,
                                 rounded_.elements,  b_->threads()};
  Arena arena_;
};

TEST_F(Pairs, LinearWeightBackward) {
  panel_width = matrix_.panel_width;
  for (const int64_t T : {1, 2, 63, 65, 515}) {
    const View x = make(T, 37, 1), dy = make(T, 21, 2);
    const View a = make(21, 37, 3), b = make(21, 37, 3);
    cpu::linear_weight_backward(pairs_, dy, x, NormWeight(), a);
    cpu::linear_weight_backward(rounded_, dy, x, NormWeight(), b);
    expect_near(a, b, 2e-6);
  }
}

TEST_F(Pairs, CrossEntropy) {
  panel_width = matrix_.panel_width;
  const int64_t V = 701, H = 27;  // two ranges, the last one odd
  LinearWeight weight, transposed;
  cpu::pack_master(pairs_, make(V, H, 1), make(1, V, 2), &weight, &transposed);
  for (const int64_t M : {1, 30, 521}) {
    const View x = make(M, H, 3);
    std::vector<int32_t> targets;
    for (int64_t m = 0; m < M; ++m) targets.push_back(static_cast<int32_t>((m * 97 + 650) % V));
    std::vector<double> losses[2];
    View dx[2], d_weight[2], d_bias[2];
    for (const bool pairs : {false, true}) {
      losses[pairs].resize(to_size(M));
      dx[pairs] = make(M, H, 4);
      d_weight[pairs] = make(V, H, 5);
      d_bias[pairs] = make(1, V, 6);
      cpu::cross_entropy(pairs ? pairs_ : rounded_, {.x = x,
                                                     .weight = weight,
                                                     .transposed = transposed,
                                                     .targets = targets,
                                                     .losses = losses[pairs],
                                                     .dx = dx[pairs],
                                                     .d_weight = d_weight[pairs],
                                                     .d_bias = d_bias[pairs]});
    }
    // A gradient of a logit may be rounded to the other side.
    expect_near(dx[1], dx[0], 1e-3);
    expect_near(d_weight[1], d_weight[0], 1e-3);
    expect_near(d_bias[1], d_bias[0], 1e-5);
    for (size_t m = 0; m < to_size(M); ++m) EXPECT_NEAR(losses[1][m], losses[0][m], 1e-5);
  }
}

}  // namespace
}  // namespace ettin
