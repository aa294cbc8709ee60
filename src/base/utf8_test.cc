#include "base/utf8.h"

#include <gtest/gtest.h>

namespace ettin {
namespace {

TEST(Utf8, EveryCodePointRoundTrips) {
  for (char32_t cp = 0; cp <= 0x10ffff; ++cp) {
    if (cp >= 0xd800 && cp <= 0xdfff) continue;
    std::string s;
    append_utf8(cp, &s);
    const Utf8Step step = decode_utf8(s, 0);
    ASSERT_TRUE(step.valid) << static_cast<uint32_t>(cp);
    ASSERT_EQ(step.code_point, cp);
    ASSERT_EQ(step.length, s.size());
  }
}

// Expected values: Python's bytes.decode("utf-8", "replace").
TEST(Utf8, InvalidSequencesBecomeOneReplacementEach) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(replace_invalid_utf8("a\x80z"), "a" + r + "z");
  EXPECT_EQ(replace_invalid_utf8("\xc0\xaf"), r + r);  // overlong
  EXPECT_EQ(replace_invalid_utf8("\xe2\x82"), r);      // truncated
  EXPECT_EQ(replace_invalid_utf8("\xe2\x82z"), r + "z");
  EXPECT_EQ(replace_invalid_utf8("\xed\xa0\x80"), r + r + r);  // surrogate
  EXPECT_EQ(replace_invalid_utf8("\xf0\x9f\x98"), r);
  EXPECT_EQ(replace_invalid_utf8("\xf4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(replace_invalid_utf8("\xff\xfe"), r + r);
  EXPECT_EQ(replace_invalid_utf8("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

TEST(Utf8, PrefixHoldsBackOnlyWhatCanStillBecomeValid) {
  EXPECT_EQ(complete_utf8_prefix("abc"), 3u);
  EXPECT_EQ(complete_utf8_prefix("ab\xe2"), 2u);
  EXPECT_EQ(complete_utf8_prefix("ab\xe2\x82"), 2u);
  EXPECT_EQ(complete_utf8_prefix("ab\xe2\x82\xac"), 5u);
  EXPECT_EQ(complete_utf8_prefix("ab\xff"), 3u);
  EXPECT_EQ(complete_utf8_prefix("ab\xed\xa0"), 4u);  // a surrogate never becomes valid
  EXPECT_EQ(complete_utf8_prefix("\xf0\x9f\x98"), 0u);
}

}  // namespace
}  // namespace ettin
