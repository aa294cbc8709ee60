#include "text/added_tokens.h"

#include <sstream>

#include "text/test_support.h"

namespace ettin::test {
namespace {

// "id@begin-end" for every match.
std::string matches(const std::vector<AddedToken>& tokens, std::string_view text) {
  const AddedTokenMatcher matcher(tokens);
  AddedTokenMatcher::Matches found(matcher, text);
  std::ostringstream out;
  while (const auto match = found.next()) {
    out << (out.str().empty() ? "" : " ") << match->id << "@" << match->begin << "-" << match->end;
  }
  return out.str();
}

AddedToken token(int32_t id, std::string content) {
  AddedToken t;
  t.id = id;
  t.content = std::move(content);
  return t;
}

TEST(AddedTokens, LeftmostThenLongest) {
  const std::vector<AddedToken> tokens{token(1, "ab"), token(2, "abcd"), token(3, "bc"),
                                       token(4, "d"),  token(5, "  "),   token(6, "   ")};
  EXPECT_EQ(matches(tokens, "abcd"), "2@0-4");
  EXPECT_EQ(matches(tokens, "abce"), "1@0-2");
  EXPECT_EQ(matches(tokens, "xbcd"), "3@1-3 4@3-4");
  EXPECT_EQ(matches(tokens, "       "), "6@0-3 6@3-6");
  EXPECT_EQ(matches(tokens, "     x"), "6@0-3 5@3-5");
  EXPECT_EQ(matches(tokens, ""), "");
  EXPECT_EQ(matches({}, "abcd"), "");
}

TEST(AddedTokens, OfEqualContentsTheFirstCounts) {
  EXPECT_EQ(matches({token(7, "x"), token(8, "x")}, "x"), "7@0-1");
}

TEST(AddedTokens, LstripTakesTheWhiteSpaceBefore) {
  AddedToken mask = token(1, "[M]");
  mask.lstrip = true;
  const std::vector<AddedToken> tokens{mask, token(2, "[C]")};
  EXPECT_EQ(matches(tokens, "a \n\u00a0[M]"), "1@1-8");
  EXPECT_EQ(matches(tokens, "  [M]  [M]"), "1@0-5 1@5-10");
  EXPECT_EQ(matches(tokens, "[C] [M] "), "2@0-3 1@3-7");
  EXPECT_EQ(matches(tokens, "\u200b[M]"), "1@3-6");
}

TEST(AddedTokens, RstripTakesTheWhiteSpaceBehind) {
  AddedToken end = token(1, "[E]");
  end.rstrip = true;
  AddedToken mask = token(2, "[M]");
  mask.lstrip = true;
  EXPECT_EQ(matches({end, mask}, "[E] \u3000[M] x"), "1@0-7 2@7-10");
  // A token of white space inside the swallowed part is still found, as in the reference.
  EXPECT_EQ(matches({end, token(3, "  ")}, "[E]    x"), "1@0-7 3@3-5 3@5-7");
  AddedToken indented = token(4, "  x");
  indented.lstrip = true;
  EXPECT_EQ(matches({end, indented}, "[E]  xy"), "1@0-5 4@5-6");
}

TEST(AddedTokens, SingleWordNeedsNonWordNeighbours) {
  AddedToken word = token(1, "ab");
  word.single_word = true;
  EXPECT_EQ(matches({word}, "ab ab-ab (ab)"), "1@0-2 1@3-5 1@6-8 1@10-12");
  EXPECT_EQ(matches({word}, "xab abx _ab ab1 ab\u0301 \u00e9ab \u24b6ab \u200dab"), "");
}

TEST(AddedTokens, EqualsASearchWrittenOut) {
  Dice dice(41);
  for (int round = 0; round < 3000; ++round) {
    std::vector<AddedToken> tokens;
    for (size_t n = 1 + dice.below(8); n > 0; --n) {
      std::string content;
      for (size_t k = 1 + dice.below(4); k > 0; --k)
        content.push_back(static_cast<char>('a' + dice.below(2)));
      tokens.push_back(token(static_cast<int32_t>(tokens.size()), content));
    }
    std::string text;
    for (size_t n = dice.below(20); n > 0; --n)
      text.push_back(static_cast<char>('a' + dice.below(3)));
    std::ostringstream expected;
    for (size_t at = 0; at < text.size();) {
      const AddedToken* best = nullptr;
      for (const AddedToken& t : tokens) {
        if (text.compare(at, t.content.size(), t.content) == 0 &&
            (best == nullptr || t.content.size() > best->content.size())) {
          best = &t;
        }
      }
      if (best == nullptr) {
        ++at;
        continue;
      }
      expected << (expected.str().empty() ? "" : " ") << best->id << "@" << at << "-"
               << at + best->content.size();
      at += best->content.size();
    }
    ASSERT_EQ(matches(tokens, text), expected.str()) << text;
  }
}

}  // namespace
}  // namespace ettin::test
