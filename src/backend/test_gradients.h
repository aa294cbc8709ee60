// Any backend's Gradients against `ref` in double, over the table of cases.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "backend/gradient_cases.h"
#include "backend/ref/ref_backend.h"
#include "tensor/compare.h"

namespace ettin {

// The largest share of `tolerance` that an output of the case uses.
inline double check_gradient_case(const GradientCase& c,
                                  const std::shared_ptr<const Backend>& backend,
                                  const std::shared_ptr<const Backend>& truth, double tolerance) {
  GradientRun expected(truth, c), actual(backend, c);
  expected.run();
  actual.run();
  EXPECT_EQ(actual.outputs().size(), expected.outputs().size());
  EXPECT_FALSE(expected.outputs().empty());
  double share = 0;
  for (size_t i = 0; i < std::min(expected.outputs().size(), actual.outputs().size()); ++i) {
    const GradientOutput &e = expected.outputs()[i], &a = actual.outputs()[i];
    SCOPED_TRACE(e.name);
    if (e.name == "gaps") {
      EXPECT_EQ(a.values[0], 0) << "written outside of a view";
    }
    EXPECT_EQ(a.values.size(), e.values.size());
    if (a.values.size() != e.values.size()) continue;
    if (e.name == "gaps") {
      EXPECT_EQ(a.values[0], 0) << "written outside of a view";
    }
    const Difference d =
        compare(std::span<const double>(a.values), std::span<const double>(e.values));
    EXPECT_EQ(d.non_finite, 0);
    EXPECT_LE(d.relative(), tolerance) << "at " << d.worst;
    if (tolerance > 0) share = std::max(share, d.relative() / tolerance);
  }
  return share;
}

// `truth` is ref in double with the format of `backend`. `bound` replaces the tolerance of an
// operation, for a format or an arithmetic that is coarser than fp32; `slack` is added to each.
inline void check_gradients(const std::shared_ptr<const Backend>& backend,
                            const std::shared_ptr<const Backend>& truth,
                            const std::map<GradientOp, double>& bound = {}, double slack = 0) {
  ASSERT_NE(backend->gradients(), nullptr);
  std::map<GradientOp, double> worst;  // largest share of the bound that an operation uses
  for (const GradientCase& c : gradient_cases()) {
    SCOPED_TRACE(to_string(c));
    const bool bf16 = backend->format() == WeightFormat::bf16;
    const double own = bf16 ? c.bf16_tolerance() : c.tolerance;
    const double tolerance = (bound.contains(c.op) ? bound.at(c.op) : own) + slack;
    worst[c.op] = std::max(worst[c.op], check_gradient_case(c, backend, truth, tolerance));
  }
  for (const auto& [op, share] : worst) {
    std::printf("%s %s uses %.2f of its bound\n", std::string(backend->isa()).c_str(),
                std::string(gradient_op_name(op)).c_str(), share);
  }
}

// The same in the format that the backend packs its matrices in.
inline void check_gradients(const std::shared_ptr<const Backend>& backend,
                            const std::map<GradientOp, double>& bound = {}, double slack = 0) {
  check_gradients(backend, make_ref_backend(Dtype::f64, backend->format(), false, 1), bound, slack);
}

}  // namespace ettin
