#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "backend/cpu/isa.h"
#include "backend/test_backends.h"
#include "backend/top_k.h"

namespace ettin {
namespace {

TEST(Registry, MakesEveryCombination) {
  EXPECT_EQ(must_make({.name = "cpu", .threads = 1})->name(), "cpu");
  EXPECT_EQ(must_make({.name = "ref", .threads = 1})->activation_dtype(), Dtype::f32);
  const auto ref = must_make({.name = "ref", .format = WeightFormat::f64, .threads = 3});
  EXPECT_EQ(ref->activation_dtype(), Dtype::f64);
  EXPECT_EQ(ref->threads().size(), 3);
}

TEST(Registry, ErrorsNameTheChoices) {
  const auto unknown = make_backend({.name = "cuda"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.status().code(), StatusCode::invalid_argument);
  EXPECT_EQ(unknown.status().to_string(),
            "there is no backend named 'cuda' (the backends are: cpu, ref)");
  const auto dtype = make_backend({.name = "cpu", .format = WeightFormat::f64});
  ASSERT_FALSE(dtype.ok());
  EXPECT_EQ(dtype.status().to_string(),
            "the cpu backend does not compute in fp64 (it computes in: fp32, bf16, q8, q4)");
  EXPECT_FALSE(make_backend({.name = "ref", .threads = -1}).ok());
}

TEST(Registry, IsaCanBeLimited) {
  for (const cpu::IsaChoice& isa : cpu::available_isas()) {
    ::setenv("ETTIN_ISA", std::string(isa.name).c_str(), 1);
    std::string got(must_make({.name = "cpu", .threads = 1})->isa());
    std::transform(got.begin(), got.end(), got.begin(),
                   [](char c) { return static_cast<char>(std::tolower(c)); });
    EXPECT_EQ(got, isa.name);
  }
  ::setenv("ETTIN_ISA", "mmx", 1);
  const auto wrong = make_backend({.name = "cpu"});
  ::unsetenv("ETTIN_ISA");
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.status().to_string().find("mmx"), std::string::npos);
  EXPECT_NE(wrong.status().hint().find(cpu::available_isas().back().name), std::string::npos);
}

TEST(TopK, TiesGoToTheLowerIdAndNanIsLast) {
  const std::vector<float> x = {1, 3, NAN, 3, -INFINITY, 2, 3};
  std::vector<TokenLogit> out(x.size());
  row_top_k(x.data(), 7, std::span(out));
  const std::vector<int32_t> expected = {1, 3, 6, 5, 0, 4, 2};
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(out[i].id, expected[i]);
}

// The scan and the sort, which are chosen by k, agree.
TEST(TopK, LargeAndSmallCountsAgree) {
  std::vector<float> x(3000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((i * 7919) % 401);
  std::vector<TokenLogit> all(x.size()), some(200);
  row_top_k(x.data(), 3000, std::span(all));
  row_top_k(x.data(), 3000, std::span(some));
  for (size_t i = 0; i < some.size(); ++i) EXPECT_EQ(some[i].id, all[i].id);
}

// Whole blocks are passed over when nothing in them is larger than the worst kept value.
TEST(TopK, BlocksThatHoldTiesOrNanAreNotLost) {
  for (const int64_t n : {64, 65, 127, 128, 300, 1000}) {
    std::vector<float> x(static_cast<size_t>(n));
    uint32_t state = 7;
    for (float& v : x) {
      state = state * 1664525u + 1013904223u;
      v = static_cast<float>(state >> 28);  // 16 values: many ties
    }
    for (const size_t nan : {size_t{0}, size_t{3}, x.size() - 1}) x[nan] = NAN;
    std::vector<TokenLogit> some(5);
    row_top_k(x.data(), n, std::span(some));
    std::vector<int32_t> ids(x.size());
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
      const float u = x[static_cast<size_t>(a)], v = x[static_cast<size_t>(b)];
      return std::isnan(v) ? !std::isnan(u) : u > v;
    });
    for (size_t i = 0; i < some.size(); ++i) EXPECT_EQ(some[i].id, ids[i]) << n;
  }
  std::vector<float> late(640, NAN);  // the kept values are NaN until the last block
  late[600] = -INFINITY;
  TokenLogit best[2];
  row_top_k(late.data(), 640, std::span(best));
  EXPECT_EQ(best[0].id, 600);
  EXPECT_EQ(best[1].id, 0);
}

}  // namespace
}  // namespace ettin
