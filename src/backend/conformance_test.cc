// Every backend against `ref` in double over the table of op cases.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "backend/cpu/kernels.h"
#include "backend/op_cases.h"
#include "backend/ref/ref_backend.h"
#include "backend/test_backends.h"
#include "base/rng.h"
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
TEST(Conformance, Int8) { check_format(WeightFormat::int8, false); }
TEST(Conformance, WeightOnlyBlocks) { check_format(WeightFormat::weight_only, false); }
TEST(Conformance, WeightsOnly) {
  for (const WeightFormat f :
       {WeightFormat::bf16, WeightFormat::q8, WeightFormat::q4, WeightFormat::int8}) {
    check_format(f, true);
  }
}

// A norm inside linear gives the bits of a norm before it, in every format.
TEST(Conformance, NormInsideLinearEqualsNormBeforeIt) {
  constexpr int64_t kRows = 19, kIn = 130, kOut = 70;  // of 130 columns two are not rotated
  auto random = [stream = uint64_t{0}](int64_t n) mutable {
    std::vector<float> v(static_cast<size_t>(n));
    ++stream;
    for (size_t i = 0; i < v.size(); ++i) {
      v[i] = static_cast<float>(random_uniform(5, stream, i)) - 0.5f;
    }
    return v;
  };
  const std::vector<float> w = random(kOut * kIn), gain = random(kIn), bias = random(kIn);
  const std::vector<float> x = random(kRows * kIn);
  const auto stored = [](const std::vector<float>& v, std::vector<uint64_t> shape) {
    StoredTensor t;
    t.name = "t";
    t.dtype = Dtype::f32;
    t.shape = std::move(shape);
    t.bytes = std::as_bytes(std::span(v));
    return t;
  };
  const StoredTensor weight = stored(w, {kOut, kIn}), gains = stored(gain, {kIn});
  const StoredTensor biases = stored(bias, {kIn});
  for (const WeightFormat format :
       {WeightFormat::f32, WeightFormat::bf16, WeightFormat::q8, WeightFormat::q4,
        WeightFormat::int8, WeightFormat::weight_only}) {
    for (const bool exact : {false, true}) {
      auto backends = cpu_backends(2, format, exact);
      backends.push_back(make_ref_backend(Dtype::f32, format, exact, 2));
      for (const auto& b : backends) {
        SCOPED_TRACE(std::string(b->isa()) + " " + std::string(format_name(format)));
        const LinearWeight packed = b->pack_matrix({{&weight}, {}}, MatrixUse::linear);
        const NormWeight norm = b->pack_norm(gains, &biases, 1e-5);
        Arena arena;
        const View in = b->allocate(arena, kRows, kIn), normed = b->allocate(arena, kRows, kIn);
        const View once = b->allocate(arena, kRows, kOut), twice = b->allocate(arena, kRows, kOut);
        std::copy(x.begin(), x.end(), in.row<float>(0));
        b->linear(in, norm, packed, Epilogue::store, Activation::identity, once);
        b->layer_norm(in, norm, normed);
        b->linear(normed, packed, Epilogue::store, Activation::identity, twice);
        EXPECT_EQ(
            0, std::memcmp(once.row<float>(0), twice.row<float>(0), kRows * kOut * sizeof(float)));
        EXPECT_EQ(0, std::memcmp(in.row<float>(0), x.data(), x.size() * sizeof(float)));
      }
    }
  }
}

}  // namespace
}  // namespace ettin
