#include "infer/stop_text.h"

#include <gtest/gtest.h>

namespace ettin {
namespace {

// Everything that comes out when `text` is pushed in pieces of `size` bytes.
std::string run(const std::vector<std::string>& stops, std::string_view text, size_t size,
                bool* stopped) {
  StopText filter(stops);
  std::string out;
  for (size_t at = 0; at < text.size() && !filter.stopped(); at += size) {
    out += filter.push(text.substr(at, size));
  }
  *stopped = filter.stopped();
  if (!filter.stopped()) out += filter.finish();
  return out;
}

TEST(StopText, CutsBeforeTheFirstMatchWhereverPiecesEnd) {
  struct Case {
    std::vector<std::string> stops;
    std::string_view text, expected;
    bool stopped;
  };
  const Case cases[] = {
      {{}, "all of it", "all of it", false},
      {{"END"}, "one END two", "one ", true},
      {{"END"}, "one EN", "one EN", false},
      {{"aab"}, "aaaab", "aa", true},
      {{"\n\n", "stop"}, "a\nb\n\nc", "a\nb", true},
      {{"xyz", "y"}, "wxyz", "wx", true},
      {{"abc", "bc"}, "zabc", "z", true},
      {{"a"}, "abc", "", true},
  };
  for (const Case& c : cases) {
    for (size_t size = 1; size <= c.text.size(); ++size) {
      bool stopped = false;
      EXPECT_EQ(run(c.stops, c.text, size, &stopped), c.expected) << c.text << " by " << size;
      EXPECT_EQ(stopped, c.stopped) << c.text;
    }
  }
}

TEST(StopText, HoldsBackOnlyWhatMayBecomeAStop) {
  const std::vector<std::string> stops = {"</s>"};
  StopText filter(stops);
  EXPECT_EQ(filter.push("hello <"), "hello ");
  EXPECT_EQ(filter.push("b"), "<b");
  EXPECT_EQ(filter.push("</"), "");
  EXPECT_EQ(filter.finish(), "</");
}

}  // namespace
}  // namespace ettin
