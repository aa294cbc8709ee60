#include "hub/answer.h"

#include <gtest/gtest.h>

namespace ettin {
namespace {

TEST(Answer, HeadersOfTheLastAnswerCount) {
  Answer answer;
  for (const char* line : {"HTTP/1.1 302 Found\r\n", "X-Repo-Commit: abc\r\n", "\r\n",
                           "HTTP/2 200\r\n", "ETag:  \"x\" \r\n", "no colon\r\n"}) {
    answer.add_line(line);
  }
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("etag"), "\"x\"");
  EXPECT_EQ(answer.header("x-repo-commit"), "");
}

TEST(Answer, EtagsLoseTheirDress) {
  EXPECT_EQ(plain_etag("\"abc\""), "abc");
  EXPECT_EQ(plain_etag("W/\"abc\""), "abc");
  EXPECT_EQ(plain_etag("abc"), "abc");
  EXPECT_EQ(plain_etag("\""), "\"");
}

TEST(Answer, ContentRanges) {
  const auto range = parse_content_range("bytes 100-199/200");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 100u);
  EXPECT_EQ(range->total, 200u);
  EXPECT_EQ(parse_content_range("bytes 0-1/*")->total, std::nullopt);
  for (const char* bad : {"", "bytes", "bytes 1-/2", "bytes 5-4/9", "bytes 0-9/9", "items 0-1/2",
                          "bytes -1-2/3", "bytes 0-1/99999999999999999999"}) {
    EXPECT_FALSE(parse_content_range(bad)) << bad;
  }
}

TEST(Answer, DelaysAreBounded) {
  Answer answer;
  EXPECT_EQ(wanted_delay(answer), std::nullopt);
  answer.add_line("RateLimit: \"api\";r=0;t=7");
  EXPECT_EQ(wanted_delay(answer), 7);
  answer.add_line("Retry-After: 100000");
  EXPECT_EQ(wanted_delay(answer), 60);
}

TEST(Answer, PercentEncoding) {
  EXPECT_EQ(percent_encoded("refs/pr/1", false), "refs%2Fpr%2F1");
  EXPECT_EQ(percent_encoded("onnx/a b.onnx", true), "onnx/a%20b.onnx");
}

}  // namespace
}  // namespace ettin
