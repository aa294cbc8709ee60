#include "text/train_bpe.h"

#include <algorithm>
#include <utility>

#include "text/test_support.h"

namespace ettin::test {
namespace {

using Words = std::vector<std::pair<std::string, int64_t>>;
using Merges = std::vector<std::pair<std::string, std::string>>;

WordCounts counts_of(const Words& words) {
  WordCounts counts;
  for (const auto& [word, count] : words) counts.add(word, count);
  return counts;
}

TrainedBpe train(const Words& words, int64_t entries, int64_t min_frequency = 1) {
  auto trained = train_bpe(counts_of(words), {.entries = entries, .min_frequency = min_frequency});
  EXPECT_TRUE(trained.ok()) << trained.status().to_string();
  return trained.ok() ? *trained : TrainedBpe();
}

Merges merges_of(const TrainedBpe& bpe) {
  Merges out;
  for (size_t k = 0; k < bpe.merges.size(); ++k) {
    const auto [left, right, merged] = bpe.merges[k];
    EXPECT_EQ(merged, kByteSymbols + static_cast<int32_t>(k));
    out.emplace_back(bpe.tokens[static_cast<size_t>(left)], bpe.tokens[static_cast<size_t>(right)]);
    EXPECT_EQ(bpe.tokens[static_cast<size_t>(merged)], out.back().first + out.back().second);
  }
  return out;
}

// The definition: counts all pairs anew before each merge.
Merges train_slowly(const Words& words, size_t entries, int64_t min_frequency) {
  std::vector<std::string> tokens;
  std::map<char, int32_t> symbol;
  for (const uint8_t byte : byte_symbol_order()) {
    symbol[static_cast<char>(byte)] = static_cast<int32_t>(tokens.size());
    tokens.emplace_back(1, static_cast<char>(byte));
  }
  std::vector<std::vector<int32_t>> split;
  for (const auto& [word, count] : words) {
    auto& ids = split.emplace_back();
    for (const char c : word) ids.push_back(symbol[c]);
  }
  Merges merges;
  while (tokens.size() < entries) {
    std::map<std::pair<int32_t, int32_t>, int64_t> counts;
    for (size_t w = 0; w < words.size(); ++w) {
      for (size_t i = 0; i + 1 < split[w].size(); ++i) {
        counts[{split[w][i], split[w][i + 1]}] += words[w].second;
      }
    }
    const auto best = std::max_element(
        counts.begin(), counts.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });  // the first of equals
    if (best == counts.end() || best->second < min_frequency) break;
    const auto [left, right] = best->first;
    const auto merged = static_cast<int32_t>(tokens.size());
    merges.emplace_back(tokens[static_cast<size_t>(left)], tokens[static_cast<size_t>(right)]);
    tokens.push_back(merges.back().first + merges.back().second);
    for (auto& ids : split) {
      std::vector<int32_t> next;
      for (size_t i = 0; i < ids.size(); ++i) {
        const bool both = i + 1 < ids.size() && ids[i] == left && ids[i + 1] == right;
        next.push_back(both ? merged : ids[i]);
        i += both ? 1 : 0;
      }
      ids = next;
    }
  }
  return merges;
}

// hug 10, pug 5, pun 12, bun 4, hugs 5. Pairs: ug 20, un 16, hu 15, pu 17, bu 4, gs 5. After "ug":
// un 16, h ug 15, pu 12. After "un": h ug 15, p un 12. After "hug": p un 12, p ug 5, hug s 5.
TEST(TrainBpe, ByHand) {
  const Words words = {{"hug", 10}, {"pug", 5}, {"pun", 12}, {"bun", 4}, {"hugs", 5}};
  const TrainedBpe bpe = train(words, 260);
  EXPECT_EQ(merges_of(bpe), (Merges{{"u", "g"}, {"u", "n"}, {"h", "ug"}, {"p", "un"}}));
  // hug 1, p ug 2, pun 1, b un 2, hug s 2.
  EXPECT_EQ(bpe.token_count, 10 + 2 * 5 + 12 + 2 * 4 + 2 * 5);
  ASSERT_EQ(bpe.tokens.size(), 260u);
  EXPECT_EQ(bpe.tokens[0], "!");
  EXPECT_EQ(bpe.tokens[255], "\xad");  // spelled U+0143, the last of the alphabet
}

// The smaller left id wins, then the smaller right id, whatever the order of the words: '!' < 'a' <
// "\n" (spelled U+010A) although the byte of "\n" is the smallest.
TEST(TrainBpe, Ties) {
  const Words words = {{"\nz", 3}, {"ac", 3}, {"ab", 3}, {"!q", 3}};
  const Merges expected = {{"!", "q"}, {"a", "b"}, {"a", "c"}, {"\n", "z"}};
  EXPECT_EQ(merges_of(train(words, 300)), expected);
  EXPECT_EQ(merges_of(train({words.rbegin(), words.rend()}, 300)), expected);
}

// Overlapping pairs count each place, "aaa" has two, and merge from the left.
TEST(TrainBpe, RunsOfOneByte) {
  const TrainedBpe bpe = train({{"aaaaa", 2}, {"ab", 7}}, 259);
  EXPECT_EQ(merges_of(bpe), (Merges{{"a", "a"}, {"a", "b"}, {"aa", "a"}}));
  EXPECT_EQ(bpe.token_count, 2 * 2 + 7);
}

TEST(TrainBpe, MinimumFrequency) {
  const Words words = {{"ab", 3}, {"cd", 2}, {"ef", 1}};
  EXPECT_EQ(merges_of(train(words, 1000, 2)), (Merges{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(merges_of(train(words, 1000, 4)), Merges());
  EXPECT_EQ(train(words, 1000, 1).tokens.size(), 259u);
  EXPECT_EQ(train({{"x", 9}}, 1000).tokens.size(), 256u);
}

TEST(TrainBpe, EqualsTheDefinition) {
  Dice dice(2);
  for (int round = 0; round < 60; ++round) {
    // Few letters: many ties, runs and repeats within a word.
    const size_t letters = 1 + dice.below(5);
    std::map<std::string, int64_t> distinct;
    for (size_t n = 1 + dice.below(40); n > 0; --n) {
      std::string word;
      for (size_t size = 1 + dice.below(14); size > 0; --size) {
        word += "ab\xff\n "[dice.below(letters)];
      }
      distinct[word] += static_cast<int64_t>(1 + dice.below(4));
    }
    const Words words(distinct.begin(), distinct.end());
    const int64_t entries = 256 + static_cast<int64_t>(dice.below(60));
    const int64_t least = 1 + static_cast<int64_t>(dice.below(4));
    EXPECT_EQ(merges_of(train(words, entries, least)),
              train_slowly(words, static_cast<size_t>(entries), least))
        << "round " << round;
  }
}

// Many bytes without a break costs no more than its length; tokens stop growing at the limit.
TEST(TrainBpe, OneLongWord) {
  const TrainedBpe bpe = train({{std::string(1 << 18, 'x'), 1}}, 1000);
  size_t longest = 0;
  for (const std::string& token : bpe.tokens) longest = std::max(longest, token.size());
  EXPECT_EQ(longest, kLongestTrainedToken);
  EXPECT_EQ(bpe.token_count, 1 << 8);
}

TEST(TrainBpe, RefusesWhatMeansNothing) {
  const WordCounts words = counts_of({{"ab", 1}});
  for (const auto& [options, given] :
       {std::pair(BpeTrainOptions{.entries = 255}, &words),
        std::pair(BpeTrainOptions{.entries = 300, .min_frequency = 0}, &words)}) {
    const auto trained = train_bpe(*given, options);
    EXPECT_EQ(trained.status().code(), StatusCode::invalid_argument);
    EXPECT_NE(trained.status().hint(), "");
  }
  const auto empty = train_bpe(WordCounts(), {.entries = 300});
  EXPECT_EQ(empty.status().code(), StatusCode::invalid_argument);
  EXPECT_NE(empty.status().hint(), "");
}

}  // namespace
}  // namespace ettin::test
