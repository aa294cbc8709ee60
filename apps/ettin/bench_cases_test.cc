#include "bench_cases.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ettin::cli {
namespace {

TEST(BenchCases, ReadsEveryForm) {
  const auto batch = parse_bench_case("8x128");
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->kind, BenchCase::Kind::forward);
  EXPECT_EQ(batch->lengths, std::vector<int64_t>(8, 128));
  EXPECT_EQ(batch->tokens(), 1024);

  const auto prefill = parse_bench_case("prefill512");
  ASSERT_TRUE(prefill.ok());
  EXPECT_EQ(prefill->kind, BenchCase::Kind::prefill);
  EXPECT_EQ(prefill->tokens(), 512);
  EXPECT_TRUE(prefill->needs_decoder());

  const auto decode = parse_bench_case("decode16");
  ASSERT_TRUE(decode.ok());
  EXPECT_EQ(decode->kind, BenchCase::Kind::decode);
  EXPECT_EQ(decode->lengths, std::vector<int64_t>{16});
  EXPECT_EQ(decode->tokens(), 64);

  const auto tokenize = parse_bench_case("tokenize:texts/a x b.txt");
  ASSERT_TRUE(tokenize.ok());
  EXPECT_EQ(tokenize->kind, BenchCase::Kind::tokenize);
  EXPECT_EQ(tokenize->file, "texts/a x b.txt");

  const auto load = parse_bench_case("load");
  ASSERT_TRUE(load.ok());
  EXPECT_EQ(load->kind, BenchCase::Kind::load);
  EXPECT_EQ(load->tokens(), 0);
}

TEST(BenchCases, RaggedIsThePublishedBatch) {
  const auto ragged = parse_bench_case("ragged32");
  ASSERT_TRUE(ragged.ok());
  EXPECT_EQ(ragged->lengths.size(), 32u);
  EXPECT_EQ(ragged->tokens(), 2625);
  EXPECT_EQ(*std::max_element(ragged->lengths.begin(), ragged->lengths.end()), 512);
}

TEST(BenchCases, RefusesWhatIsNoCase) {
  for (const char* name :
       {"", "x", "1x", "x8", "0x8", "1x0", "-1x8", "1x8x", "1x8 ", "prefill", "decode-1",
        "decode1e3", "tokenize:", "ragged33", "99999x8", "1x99999999999999999999"}) {
    const auto result = parse_bench_case(name);
    EXPECT_EQ(result.status().code(), StatusCode::invalid_argument) << name;
  }
}

TEST(BenchCases, ListsAreSeparatedByCommas) {
  const auto cases = parse_bench_cases("1x8,ragged32,decode16");
  ASSERT_TRUE(cases.ok());
  ASSERT_EQ(cases->size(), 3u);
  EXPECT_EQ((*cases)[2].name, "decode16");
  EXPECT_FALSE(parse_bench_cases("1x8,").ok());
  EXPECT_FALSE(parse_bench_cases("").ok());
}

TEST(BenchTokens, AreThoseOfTheOtherEngines) {
  EXPECT_EQ(bench_token(0, 0, 50368), 1000);
  EXPECT_EQ(bench_token(0, 1, 50368), 8919);
  EXPECT_EQ(bench_token(1, 0, 50368), 1000 + 104729 % 49000);
  EXPECT_EQ(bench_token(3, 700, 50368), 1000 + (7919 * 700 + 104729 * 3) % 49000);
  for (int64_t i = 0; i < 500; ++i) EXPECT_LT(bench_token(1, i, 8192), 8192);
}

TEST(TimeRuns, WarmsUpAndKeepsTheLeastNumber) {
  int calls = 0;
  const auto timing = time_runs([&]() -> Result<double> { return ++calls; }, 5, 0);
  ASSERT_TRUE(timing.ok());
  EXPECT_EQ(calls, 6);
  EXPECT_EQ(timing->runs, 5u);
  EXPECT_EQ(timing->min_ms, 2);
  EXPECT_EQ(timing->median_ms, 4);
}

TEST(TimeRuns, StopsAtThreeHundred) {
  const auto timing = time_runs([]() -> Result<double> { return 1; }, 5, 3600);
  ASSERT_TRUE(timing.ok());
  EXPECT_EQ(timing->runs, 300u);
}

TEST(TimeRuns, ReportsAFailure) {
  const auto timing =
      time_runs([]() -> Result<double> { return Status(StatusCode::unsupported, "no"); }, 5, 0);
  EXPECT_EQ(timing.status().code(), StatusCode::unsupported);
}

TEST(CutDocuments, CutsBehindLineEndsAndLosesNothing) {
  std::string text;
  for (int i = 0; i < 30'000; ++i) text += "line " + std::to_string(i) + "\n";
  const auto documents = cut_documents(text);
  ASSERT_GT(documents.size(), 2u);
  std::string together;
  for (const std::string& document : documents) {
    EXPECT_EQ(document.back(), '\n');
    EXPECT_LT(document.size(), 100'100u);
    together += document;
  }
  EXPECT_EQ(together, text);
  EXPECT_TRUE(cut_documents("").empty());
}

}  // namespace
}  // namespace ettin::cli
