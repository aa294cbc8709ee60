// Fast merging against the rule written out: find the pair of lowest rank, leftmost, merge it,
// begin again.
#include "text/bpe.h"

#include <set>

#include "text/test_support.h"

namespace ettin::test {
namespace {

struct Model {
  Vocabulary vocabulary;
  std::vector<MergeRule> rules;
};

// Symbols a to e and `count` random merges of what there is, in any order: a merge may have a lower
// rank than those that make its sides.
Model random_model(Dice& dice, size_t count) {
  Model model{Vocabulary(count + 5, count + 5), {}};
  int32_t next = 0;
  for (const char* symbol : {"a", "b", "c", "d", "e"}) {
    EXPECT_TRUE(model.vocabulary.add(next++, symbol, Vocabulary::Origin::model));
  }
  std::set<std::pair<int32_t, int32_t>> pairs;
  for (size_t tries = 0; tries < 4 * count && model.rules.size() < count; ++tries) {
    const auto left = static_cast<int32_t>(dice.below(static_cast<size_t>(next)));
    const auto right = static_cast<int32_t>(dice.below(static_cast<size_t>(next)));
    const std::string merged = std::string(model.vocabulary.spelling(left)) +
                               std::string(model.vocabulary.spelling(right));
    if (merged.size() > 60 || !pairs.insert({left, right}).second) continue;
    int32_t id = model.vocabulary.find(merged).value_or(-1);
    if (id < 0) {
      if (!model.vocabulary.add(next, merged, Vocabulary::Origin::model)) continue;
      id = next++;
    }
    model.rules.push_back({left, right, id});
  }
  for (size_t i = model.rules.size(); i > 1 && dice.below(4) != 0; --i) {
    std::swap(model.rules[i - 1], model.rules[dice.below(i)]);
  }
  return model;
}

std::vector<int32_t> naive(const Model& model, std::string_view word) {
  std::vector<int32_t> ids;
  for (const char c : word) {
    if (const auto id = model.vocabulary.find(std::string_view(&c, 1))) ids.push_back(*id);
  }
  for (size_t rank = 0; rank < model.rules.size();) {
    const MergeRule& rule = model.rules[rank];
    size_t i = 0;
    while (i + 1 < ids.size() && (ids[i] != rule.left || ids[i + 1] != rule.right)) ++i;
    if (i + 1 >= ids.size()) {
      ++rank;
      continue;
    }
    ids[i] = rule.merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    rank = 0;  // the merge may have made a pair of lower rank
  }
  return ids;
}

TEST(Bpe, EqualsTheRuleWrittenOut) {
  Dice dice(11);
  for (int round = 0; round < 1000; ++round) {
    const Model model = random_model(dice, 1 + dice.below(60));
    MergeTable table(model.rules.size());
    for (const MergeRule& rule : model.rules) ASSERT_TRUE(table.add(rule));
    const Bpe bpe(model.vocabulary, std::move(table), false);
    for (int words = 0; words < 30; ++words) {
      // Both sides of the length where the way of merging changes; few symbols, so that ties
      // abound.
      const size_t symbols = 1 + dice.below(6);  // the sixth, 'f', is not in the vocabulary
      std::string word;
      for (size_t n = dice.below(120); n > 0; --n)
        word.push_back(static_cast<char>('a' + dice.below(symbols)));
      std::vector<int32_t> ids{-7};
      bpe.encode(word, &ids);
      EXPECT_EQ(ids.front(), -7);
      ids.erase(ids.begin());
      EXPECT_EQ(ids, naive(model, word)) << word;
    }
  }
}

TEST(Bpe, LengthsAroundTheSwitch) {
  Dice dice(12);
  const Model model = random_model(dice, 40);
  MergeTable table(model.rules.size());
  for (const MergeRule& rule : model.rules) ASSERT_TRUE(table.add(rule));
  const Bpe bpe(model.vocabulary, std::move(table), false);
  for (size_t length = 0; length < 100; ++length) {
    const std::string word(length, 'a');
    std::vector<int32_t> ids;
    bpe.encode(word, &ids);
    EXPECT_EQ(ids, naive(model, word)) << length;
  }
}

TEST(MergeTable, RefusesASecondRuleForAPair) {
  MergeTable table(2);
  EXPECT_TRUE(table.add({1, 2, 3}));
  EXPECT_FALSE(table.add({1, 2, 4}));
  EXPECT_EQ(table.find(1, 2).merged, 3);
  EXPECT_EQ(table.find(2, 1).rank, MergeTable::kNone);
}

TEST(ByteAlphabet, IsOneCharacterForEveryByte) {
  const ByteAlphabet& alphabet = ByteAlphabet::get();
  EXPECT_EQ(alphabet.spell(" \n\x7f\x80\xad"), "ĠĊġĢŃ");
  std::set<std::string> seen;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    const std::string spelled = alphabet.spell(bytes);
    EXPECT_TRUE(seen.insert(spelled).second);
    EXPECT_EQ(alphabet.read(spelled), bytes);
  }
  EXPECT_EQ(alphabet.read("a b"), std::nullopt);
  EXPECT_EQ(alphabet.read("\u4e2d"), std::nullopt);
}

}  // namespace
}  // namespace ettin::test
