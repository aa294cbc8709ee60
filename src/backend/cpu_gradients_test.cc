// The CPU backend's Gradients on every instruction set of this machine.
#include <gtest/gtest.h>

#include <cctype>

#include "backend/test_backends.h"
#include "backend/test_gradients.h"

namespace ettin {
namespace {

// With bf16 operands of products are rounded as ref rounds them, so the products agree as fp32 ones
// do; what is no product is fp32.
class OfInstructionSet : public ::testing::TestWithParam<cpu::IsaChoice> {
 protected:
  static void check(WeightFormat format) {
    for (const auto& backend : cpu_backends(2, format)) {
      if (backend->isa() != upper(GetParam().name)) continue;
      check_gradients(backend);
      return;
    }
    FAIL() << "no backend of " << GetParam().name;
  }
  static std::string upper(std::string_view name) {
    std::string s(name);
    for (char& c : s) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return s;
  }
};

INSTANTIATE_TEST_SUITE_P(CpuGradients, OfInstructionSet, ::testing::ValuesIn(tested_isas()),
                         [](const auto& isa) { return std::string(isa.param.name); });

TEST_P(OfInstructionSet, Fp32OverTheTable) { check(WeightFormat::f32); }
TEST_P(OfInstructionSet, Bf16OverTheTable) { check(WeightFormat::bf16); }

TEST(CpuGradients, OnlyFormatsThatTrainHaveThem) {
  using enum WeightFormat;
  for (const WeightFormat f : {f32, bf16, q8, q4, int8, weight_only}) {
    const auto backend = must_make({.name = "cpu", .format = f, .threads = 1});
    EXPECT_EQ(backend->gradients() != nullptr, f == f32 || f == bf16) << format_name(f);
  }
  const auto exact = must_make({.name = "cpu", .format = bf16, .exact_activations = true});
  EXPECT_EQ(exact->gradients(), nullptr);
}

void expect_same_bits(WeightFormat format, int threads, const GradientCase& c) {
  GradientRun one(must_make({.name = "cpu", .format = format, .threads = 1}), c);
  GradientRun many(must_make({.name = "cpu", .format = format, .threads = threads}), c);
  one.run();
  many.run();
  for (size_t i = 0; i < one.outputs().size(); ++i) {
    EXPECT_EQ(one.outputs()[i].values, many.outputs()[i].values) << one.outputs()[i].name;
  }
}

TEST(CpuGradients, ThreadsDoNotChangeBits) {
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::bf16}) {
    for (const GradientCase& c : gradient_cases()) {
      SCOPED_TRACE(to_string(c));
      expect_same_bits(format, 2, c);
      if (c.rows() <= 40) expect_same_bits(format, 3, c);
    }
  }
}

// Several chains of tokens, blocks of rows, ranges of the vocabulary and parts of a sequence.
TEST(CpuGradients, LargerThanOneTask) {
  std::vector<GradientCase> cases;
  GradientCase c;
  c.op = GradientOp::linear_weight_backward;
  c.lengths = {1100};
  c.in = 96;
  c.out = 150;
  c.tolerance = 5e-6;
  cases.push_back(c);
  c.op = GradientOp::cross_entropy;
  c.lengths = {600};
  c.in = 16;
  c.out = 1300;
  c.tolerance = 1e-5;
  cases.push_back(c);
  c.op = GradientOp::attention_backward;
  c.lengths = {2100, 5};
  c.in = 8;
  c.spec = {AttentionSpec::kUnlimited, 0};
  cases.push_back(c);
  c.spec = {20, 30};
  cases.push_back(c);
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::bf16}) {
    const auto backend = must_make({.name = "cpu", .format = format, .threads = 2});
    for (const GradientCase& large : cases) {
      SCOPED_TRACE(to_string(large));
      expect_same_bits(format, 2, large);
      check_gradient_case(large, backend, make_ref_backend(Dtype::f64, format, false, 2),
                          format == WeightFormat::bf16 ? large.bf16_tolerance() : large.tolerance);
    }
  }
}

}  // namespace
}  // namespace ettin
