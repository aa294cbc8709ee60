// Every backend against `ref` in double over the table of op cases.
#include <gtest/gtest.h>

#include <map>

#include "backend/op_cases.h"
#include "backend/ref/ref_backend.h"
#include "backend/test_backends.h"
#include "tensor/compare.h"

namespace ettin {
namespace {

void check_against_double(const std::shared_ptr<const Backend>& backend) {
  static const auto truth_backend =
      must_make({.name = "ref", .format = WeightFormat::f64, .threads = 1});
  std::map<Op, double> worst;  // largest share of the bound that an operation uses
  for (const OpCase& c : op_cases()) {
    SCOPED_TRACE(to_string(c));
    OpRun truth(truth_backend, c), run(backend, c);
    truth.run();
    run.run();
    const std::vector<double> expected = truth.output(), actual = run.output();
    ASSERT_EQ(actual.size(), expected.size());
    ASSERT_FALSE(expected.empty());
    const Difference d =
        compare(std::span<const double>(actual), std::span<const double>(expected));
    EXPECT_EQ(d.non_finite, 0);
    EXPECT_LE(d.relative(), c.tolerance) << "at " << d.worst;
    if (c.tolerance > 0) {
      worst[c.op] = std::max(worst[c.op], d.relative() / c.tolerance);
    }
  }
  for (const auto& [op, share] : worst) {
    ::testing::Test::RecordProperty("share_of_bound_" + std::to_string(static_cast<int>(op)),
                                    std::to_string(share));
    std::printf("%s op %d uses %.2f of its bound\n", std::string(backend->isa()).c_str(),
                static_cast<int>(op), share);
  }
}

TEST(Conformance, RefFloat) {
  check_against_double(must_make({.name = "ref", .format = WeightFormat::f32, .threads = 2}));
}

TEST(Conformance, CpuOnEveryInstructionSet) {
  for (const auto& backend : cpu_backends(2)) {
    SCOPED_TRACE(backend->isa());
    check_against_double(backend);
  }
}

// Matrices of every format: the rounding is the reference's to the bit, and what is left is the
// rounding of fp32 sums.
void check_format(WeightFormat format, bool exact_activations) {
  SCOPED_TRACE(format_name(format));
  const auto truth_backend = make_ref_backend(Dtype::f64, format, exact_activations, 1);
  for (const auto& backend : cpu_backends(2, format, exact_activations)) {
    SCOPED_TRACE(backend->isa());
    double worst = 0;
    for (const OpCase& c : op_cases()) {
      if (c.op != Op::linear && c.op != Op::embed) continue;
      SCOPED_TRACE(to_string(c));
      OpRun truth(truth_backend, c), run(backend, c);
      truth.run();
      run.run();
      const std::vector<double> expected = truth.output(), actual = run.output();
      const Difference d =
          compare(std::span<const double>(actual), std::span<const double>(expected));
      const bool coarse = c.activation == Activation::gelu && !exact_activations;
      const double bound = c.tolerance + (coarse ? 4e-5 : 3e-7);
      EXPECT_EQ(d.non_finite, 0);
      EXPECT_LE(d.relative(), bound) << "at " << d.worst;
      worst = std::max(worst, d.relative() / bound);
    }
    std::printf("%s %s%s uses %.2f of its bound\n", std::string(backend->isa()).c_str(),
                std::string(format_name(format)).c_str(), exact_activations ? " exact" : "", worst);
  }
}

TEST(Conformance, Bf16) { check_format(WeightFormat::bf16, false); }
TEST(Conformance, Q8) { check_format(WeightFormat::q8, false); }
TEST(Conformance, Q4) { check_format(WeightFormat::q4, false); }
TEST(Conformance, WeightsOnly) {
  for (const WeightFormat f : {WeightFormat::bf16, WeightFormat::q8, WeightFormat::q4}) {
    check_format(f, true);
  }
}

}  // namespace
}  // namespace ettin
