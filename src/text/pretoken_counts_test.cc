#include "text/pretoken_counts.h"

#include "text/nfc.h"
#include "text/pretokenize.h"
#include "text/test_support.h"

namespace ettin::test {
namespace {

using Counts = std::map<std::string, int64_t>;

Counts counts_of(PretokenCounts* counter) {
  const WordCounts& words = counter->words();
  Counts out;
  for (size_t i = 0; i < words.size(); ++i) {
    EXPECT_TRUE(out.emplace(words.word(i).bytes, words.word(i).count).second);
  }
  return out;
}

Counts count(const std::vector<std::string_view>& texts, bool space_runs = true, int threads = 1) {
  PretokenCounts counter(space_runs, shared_thread_pool(threads));
  counter.add(texts);
  return counts_of(&counter);
}

TEST(PretokenCounts, CountsWhatTheSplitGives) {
  EXPECT_EQ(
      count({"the cat, the hat", "the end\n"}),
      (Counts{
          {"the", 2}, {" cat", 1}, {",", 1}, {" the", 1}, {" hat", 1}, {" end", 1}, {"\n", 1}}));
  EXPECT_EQ(count({"", "it's"}), (Counts{{"it", 1}, {"'s", 1}}));
  EXPECT_EQ(count({}), Counts());
}

TEST(PretokenCounts, NormalisesAndRepairs) {
  // "é" composed and decomposed are one word; each broken sequence is one U+FFFD.
  EXPECT_EQ(count({"\u00e9", "e\u0301"}), (Counts{{"\u00e9", 2}}));
  EXPECT_EQ(count({"\xff", "\xe2\x82"}), (Counts{{"\ufffd", 2}}));
}

// Without the split at runs "a   b" has the words "a", "  " and " b".
TEST(PretokenCounts, RunsOfSpacesAreNoWords) {
  PretokenCounts counter(true, shared_thread_pool(1));
  const std::string runs = "a   b" + std::string(25, ' ') + "c" + std::string(48, ' ');
  counter.add(std::vector<std::string_view>{runs});
  EXPECT_EQ(counts_of(&counter), (Counts{{"a", 1}, {"b", 1}, {" c", 1}}));
  EXPECT_EQ(counter.space_runs(), 4);  // 3, 24, 24 and 24
  EXPECT_EQ(counter.bytes(), static_cast<int64_t>(runs.size()));
  EXPECT_EQ(count({"a   b"}, false), (Counts{{"a", 1}, {"  ", 1}, {" b", 1}}));
  EXPECT_EQ(count({"a \n b"}), (Counts{{"a", 1}, {" \n", 1}, {" b", 1}}));
}

TEST(PretokenCounts, CutsNoWord) {
  EXPECT_EQ(next_text_cut("ab\ncd\nef", 0), 3u);
  EXPECT_EQ(next_text_cut("ab\ncd\nef", 3), 3u);
  EXPECT_EQ(next_text_cut("ab\ncd\nef", 4), 6u);
  EXPECT_EQ(next_text_cut("ab\ncd\nef", 7), 8u);
  EXPECT_EQ(next_text_cut("\u4eac\n\u6771", 0), 4u);
  // White space on either side, broken bytes, or the ends of the text: no place to cut.
  for (const std::string_view text : {"a\n\nb", "a \nb", "a\n b", "a\u3000\nb", "a\n\u3000b", "a\n",
                                      "\nb", "a\xe2\nb", "\x80\x80\x80\x80\nb", "a\n\xff", ""}) {
    EXPECT_EQ(next_text_cut(text, 0), text.size()) << text;
  }
}

// A text of many pieces, whatever the threads, counts as it does without a cut.
TEST(PretokenCounts, DoesNotDependOnPiecesOrThreads) {
  Dice dice(1);
  const std::vector<std::string> parts = {"the", " a",     "\n",      "\n\n",  " ",
                                          "   ", "é",      "e\u0301", ".",     "12",
                                          "\t",  "\u3000", "\xff",    "don't", "京"};
  std::string text;
  while (text.size() < 400'000) text += dice.pick(parts);
  PretokenCounts whole(true, shared_thread_pool(1));
  for (size_t at = 0; at < text.size();) {  // small texts are not cut
    const size_t end = at + next_text_cut(std::string_view(text).substr(at), 1000);
    const std::string_view part = std::string_view(text).substr(at, end - at);
    whole.add(std::vector{part});
    at = end;
  }
  const Counts expected = counts_of(&whole);
  EXPECT_GT(expected.size(), 100u);
  for (const int threads : {1, 2, 5}) EXPECT_EQ(count({text}, true, threads), expected) << threads;
  Counts uncut;
  std::string valid = replace_invalid_utf8(text), nfc;
  to_nfc(valid, &nfc, nullptr);
  for (size_t at = 0; at < nfc.size();) {
    const size_t begin = at;
    at = word_end(unicode_table(), nfc, begin);
    ++uncut[nfc.substr(begin, at - begin)];
  }
  EXPECT_EQ(count({text}, false, 2), uncut);
}

}  // namespace
}  // namespace ettin::test
