// Every backend against `ref` in double over the table of op cases.
#include <gtest/gtest.h>

#include <map>

#include "backend/op_cases.h"
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

}  // namespace
}  // namespace ettin
