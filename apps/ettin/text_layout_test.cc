#include "text_layout.h"

#include <gtest/gtest.h>

#include <clocale>
#include <limits>

namespace ettin::cli {
namespace {

class TextLayout : public testing::Test {
 protected:
  // Widths need a locale that knows Unicode.
  void SetUp() override { std::setlocale(LC_CTYPE, "C.UTF-8"); }
};

TEST_F(TextLayout, BarsShowEighthsAndNeverVanish) {
  EXPECT_EQ(bar(0, 10, true), "");
  EXPECT_EQ(bar(-1, 10, true), "");
  EXPECT_EQ(bar(1, 3, true), "███");
  EXPECT_EQ(bar(2, 3, true), "███");
  EXPECT_EQ(bar(0.5, 3, true), "█▌");
  EXPECT_EQ(bar(1e-9, 3, true), "▏");
  EXPECT_EQ(bar(0.5, 0, true), "");
  EXPECT_EQ(bar(0.5, 10, false), "#####");
  EXPECT_EQ(bar(1e-9, 10, false), "#");
  EXPECT_EQ(bar(std::numeric_limits<double>::quiet_NaN(), 10, true), "");
}

TEST_F(TextLayout, Durations) {
  EXPECT_EQ(readable_duration(0.4), "0 s");
  EXPECT_EQ(readable_duration(59.7), "1 min 0 s");
  EXPECT_EQ(readable_duration(3599), "59 min 59 s");
  EXPECT_EQ(readable_duration(11520), "3 h 12 min");
  EXPECT_EQ(readable_duration(93784), "1 d 2 h");
  EXPECT_EQ(readable_duration(-1), "-");
  EXPECT_EQ(readable_duration(std::numeric_limits<double>::infinity()), "-");
  EXPECT_EQ(readable_duration(std::numeric_limits<double>::quiet_NaN()), "-");
}

TEST_F(TextLayout, WidthCountsColumns) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("é"), 1);
  EXPECT_EQ(display_width("日本"), 4);
  EXPECT_EQ(display_width("e\u0301"), 1);
  EXPECT_EQ(display_width("\xff"), 1);
}

TEST_F(TextLayout, PadsToColumns) {
  EXPECT_EQ(pad_right("日", 4), "日  ");
  EXPECT_EQ(pad_left("7", 3), "  7");
  EXPECT_EQ(pad_right("long", 2), "long");
}

TEST_F(TextLayout, ShortensAtCharacters) {
  EXPECT_EQ(shorten("short", 5, true), "short");
  EXPECT_EQ(shorten("longer", 5, true), "long…");
  EXPECT_EQ(shorten("longer", 5, false), "lo...");
  EXPECT_EQ(shorten("日本語", 5, true), "日本…");
  EXPECT_EQ(shorten("日本語", 4, true), "日…");
}

TEST_F(TextLayout, WrapsAtSpaces) {
  EXPECT_EQ(wrap("a bc def", 4), (std::vector<std::string>{"a bc", "def"}));
  EXPECT_EQ(wrap("  two  spaces ", 20), (std::vector<std::string>{"two spaces"}));
  EXPECT_EQ(wrap("unbreakable", 4), (std::vector<std::string>{"unbreakable"}));
  EXPECT_EQ(wrap("", 4), (std::vector<std::string>{""}));
}

TEST_F(TextLayout, PrintableDisarmsControlCharacters) {
  EXPECT_EQ(printable("a\nb\tc"), "a\\nb\\tc");
  EXPECT_EQ(printable("a\nb\tc", true), "a\nb\tc");
  EXPECT_EQ(printable("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\x9b");
  EXPECT_EQ(printable("\xff"), "\ufffd");
  EXPECT_EQ(printable("\r", true), "\\x0d");
}

TEST_F(TextLayout, Numbers) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(-1234567), "-1,234,567");
  EXPECT_EQ(with_commas(-999), "-999");
  EXPECT_EQ(readable_count(5501184), "5.5 million");
  EXPECT_EQ(readable_count(12345), "12,345");
  EXPECT_EQ(readable_bytes(11037616), "11.0 MB");
  EXPECT_EQ(readable_bytes(12), "12 B");
  EXPECT_EQ(readable_ms(0.125), "0.12 ms");
  EXPECT_EQ(readable_ms(1.26), "1.3 ms");
  EXPECT_EQ(readable_ms(123.4), "123 ms");
  EXPECT_EQ(readable_ms(12345), "12.3 s");
  EXPECT_EQ(percent(0.8492), " 84.9 %");
  EXPECT_EQ(percent(1), "100.0 %");
}

}  // namespace
}  // namespace ettin::cli
