// Every backend against `ref` in double over the table of op cases.
#include <gtest/gtest.h>

#include <map>

#include "backend/cpu/kernels.h"
#include "backend/op_cases.h"
#include "backend/test_backends.h"
#include "tensor/compare.h"

namespace ettin {
namespace {

// Only the operations that `bound` gives a bound for, with it; without one, all with their own.
void check_against_double(const std::shared_ptr<const Backend>& backend,
                          const std::map<Op, double>& bound = {}) {
  static const auto truth_backend =
      must_make({.name = "ref", .format = WeightFormat::f64, .threads = 1});
  std::map<Op, double> worst;  // largest share of the bound that an operation uses
  for (OpCase c : op_cases()) {
    if (!bound.empty() && !bound.contains(c.op)) continue;
    if (!bound.empty()) c.tolerance = bound.at(c.op);
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

// Keys, values, queries and weights of attention in bf16. A wrong order of pairs, a lane that is
// not cleared or a sum in bf16 is far outside.
TEST(Conformance, Bf16AttentionOnEveryInstructionSet) {
  for (const auto& backend : cpu_backends(2, WeightFormat::bf16)) {
    SCOPED_TRACE(backend->isa());
    ASSERT_EQ(backend->cache_dtype(), Dtype::bf16);
    const double half_unit = 1.01 / 512;  // in [2, 4), over a largest element of almost 4
    check_against_double(backend,
                         {{Op::attention, cpu::kBf16AttentionError}, {Op::kv_append, half_unit}});
  }
}

TEST(Conformance, CacheIsBf16ForNarrowWeightsUnlessActivationsAreExact) {
  const auto cache = [](WeightFormat format, bool exact) {
    return must_make({.name = "cpu", .format = format, .exact_activations = exact})->cache_dtype();
  };
  for (const WeightFormat f : {WeightFormat::bf16, WeightFormat::q8, WeightFormat::q4}) {
    EXPECT_EQ(cache(f, false), Dtype::bf16);
    EXPECT_EQ(cache(f, true), Dtype::f32);
  }
  EXPECT_EQ(cache(WeightFormat::f32, false), Dtype::f32);
}

TEST(Conformance, CpuOnEveryInstructionSet) {
  for (const auto& backend : cpu_backends(2)) {
    SCOPED_TRACE(backend->isa());
    check_against_double(backend);
  }
}

}  // namespace
}  // namespace ettin
