#include "text/pretokenize.h"

#include "text/test_support.h"

namespace ettin::test {
namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = word_end(unicode_table(), text, at);
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

// The pattern alternative by alternative with the backtracking that it implies; quadratic.
class Pattern {
 public:
  explicit Pattern(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
      begins_.push_back(at);
      chars_.push_back(next_code_point(text, &at));
    }
    begins_.push_back(text.size());
  }

  std::vector<std::string> split(std::string_view text) const {
    std::vector<std::string> words;
    for (size_t i = 0; i < chars_.size();) {
      const size_t end = match(i);
      words.emplace_back(text.substr(begins_[i], begins_[end] - begins_[i]));
      i = end;
    }
    return words;
  }

 private:
  CharClass cls(size_t i) const { return unicode_table().char_class(chars_[i]); }
  bool is(size_t i, std::u32string_view s) const {
    return std::u32string_view(chars_).substr(i, s.size()) == s;
  }
  size_t run(size_t i, CharClass wanted) const {
    while (i < chars_.size() && cls(i) == wanted) ++i;
    return i;
  }

  size_t match(size_t i) const {
    for (const std::u32string_view s : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) {
      if (is(i, s)) return i + s.size();
    }
    for (const CharClass wanted : {CharClass::letter, CharClass::number, CharClass::other}) {
      const size_t from = chars_[i] == U' ' ? i + 1 : i;
      if (const size_t end = run(from, wanted); end > from) return end;
    }
    const size_t end = run(i, CharClass::space);
    for (size_t e = end; e > i; --e) {
      if (e == chars_.size() || cls(e) == CharClass::space) return e;  // (?!\S)
    }
    return end;
  }

  std::u32string chars_;
  std::vector<size_t> begins_;
};

TEST(Pretokenize, Examples) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(split("Hello, World!"), (Words{"Hello", ",", " World", "!"}));
  EXPECT_EQ(split("don't we'll I'VE"), (Words{"don", "'t", " we", "'ll", " I", "'", "VE"}));
  EXPECT_EQ(split("a   b"), (Words{"a", "  ", " b"}));
  EXPECT_EQ(split("a \n\tb"), (Words{"a", " \n", "\t", "b"}));
  EXPECT_EQ(split("a  "), (Words{"a", "  "}));
  EXPECT_EQ(split(" 's '' x2"), (Words{" '", "s", " ''", " x", "2"}));
  EXPECT_EQ(split("\u00a0\u3000x"), (Words{"\u00a0", "\u3000", "x"}));
  EXPECT_EQ(split("\u0661\u00bd\u2167 \u4e2d"), (Words{"\u0661\u00bd\u2167", " \u4e2d"}));
  EXPECT_EQ(split(""), Words{});
}

TEST(Pretokenize, EqualsThePatternOnRandomText) {
  Dice dice(31);
  const std::vector<std::string> pieces{
      " ",      " ",          "\n",     "\t",   "\u00a0", "\u3000", "\u2028", "'",
      "s",      "t",          "re",     "ll",   "v",      "e",      "d",      "m",
      "S",      "\u00e9",     "\u4e2d", "1",    "\u00b2", "\u2167", ".",      "\u0301",
      "\u200d", "\U0001f600", "_",      "\x1f", "\u180e", "\ufeff"};
  for (int round = 0; round < 50000; ++round) {
    std::string text;
    for (size_t n = dice.below(16); n > 0; --n) text += dice.pick(pieces);
    ASSERT_EQ(split(text), Pattern(text).split(text)) << text;
  }
}

}  // namespace
}  // namespace ettin::test
