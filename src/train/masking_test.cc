#include "train/masking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "train/objective.h"

namespace ettin {
namespace {

constexpr SpecialTokens kSpecial = {95, 96, 97, 98, 99};
constexpr MaskingRule kRule = {0.3, kSpecial, 100};

std::vector<int32_t> document(int64_t length) {
  std::vector<int32_t> ids = {kSpecial.cls};
  for (int64_t i = 2; i < length; ++i) ids.push_back(static_cast<int32_t>(i % 90));
  ids.push_back(kSpecial.sep);
  return ids;
}

struct Masked {
  std::vector<int32_t> ids;
  std::vector<int64_t> positions;
  std::vector<int32_t> targets;
};

Masked mask(const SequenceKey& key, const MaskingRule& rule, const std::vector<int32_t>& ids) {
  Masked m{ids, {}, {}};
  mask_tokens(key, rule, m.ids, &m.positions, &m.targets);
  return m;
}

TEST(Masking, RatesAreWithinFourStandardErrors) {
  const std::vector<int32_t> ids = document(1000);
  double eligible = 0, selected = 0, masked = 0, kept = 0, random = 0;
  for (int64_t n = 0; n < 400; ++n) {
    const Masked m = mask({21, 0, 0, n}, kRule, ids);
    eligible += static_cast<double>(ids.size()) - 2;
    selected += static_cast<double>(m.positions.size());
    for (size_t i = 0; i < m.positions.size(); ++i) {
      const int32_t now = m.ids[static_cast<size_t>(m.positions[i])];
      ++(now == kSpecial.mask ? masked : now == m.targets[i] ? kept : random);
    }
  }
  const auto near = [](double count, double of, double p) {
    return std::abs(count - of * p) <= 4 * std::sqrt(of * p * (1 - p));
  };
  EXPECT_TRUE(near(selected, eligible, 0.3)) << selected / eligible;
  // A random token is [MASK] or the token itself once in a hundred.
  EXPECT_TRUE(near(masked, selected, 0.801)) << masked / selected;
  EXPECT_TRUE(near(kept, selected, 0.101)) << kept / selected;
  EXPECT_TRUE(near(random, selected, 0.098)) << random / selected;
}

TEST(Masking, NeverSelectsASpecialToken) {
  std::vector<int32_t> ids = document(200);
  for (size_t i = 0; i < 5; ++i) ids[20 * (i + 1)] = 95 + static_cast<int32_t>(i);
  MaskingRule all = kRule;
  all.rate = 1;
  const Masked m = mask({21, 0, 0, 7}, all, ids);
  EXPECT_EQ(m.positions.size(), ids.size() - 7);
  for (const int32_t target : m.targets) EXPECT_FALSE(kSpecial.contains(target));
}

TEST(Masking, IsAFunctionOfWhatItBelongsTo) {
  const std::vector<int32_t> ids = document(100);
  const SequenceKey key{21, 1, 2, 3};
  EXPECT_EQ(mask(key, kRule, ids).ids, mask(key, kRule, ids).ids);
  for (const SequenceKey& other : {SequenceKey{22, 1, 2, 3}, SequenceKey{21, 0, 2, 3},
                                   SequenceKey{21, 1, 3, 3}, SequenceKey{21, 1, 2, 4}}) {
    EXPECT_NE(mask(key, kRule, ids).positions, mask(other, kRule, ids).positions);
  }
  // A longer document begins with the same decisions.
  const std::vector<int32_t> shorter(ids.begin(), ids.begin() + 50);
  const Masked a = mask(key, kRule, ids), b = mask(key, kRule, shorter);
  ASSERT_LE(b.positions.size(), a.positions.size());
  EXPECT_TRUE(std::equal(b.positions.begin(), b.positions.end(), a.positions.begin()));
}

TEST(Objective, ClmPredictsSepAndNotTheNextCls) {
  TrainingBatch b;
  const ObjectiveRule clm{.objective = Objective::clm};
  append_sequence(clm, {}, std::vector<int32_t>{96, 1, 2, 97}, &b);
  append_sequence(clm, {}, std::vector<int32_t>{96, 5, 97}, &b);
  EXPECT_EQ(b.targets.rows, (std::vector<int64_t>{0, 1, 2, 4, 5}));
  EXPECT_EQ(b.targets.ids, (std::vector<int32_t>{1, 2, 97, 5, 97}));
  EXPECT_EQ(b.batch.token_ids, (std::vector<int32_t>{96, 1, 2, 97, 96, 5, 97}));
  EXPECT_EQ(b.batch.starts, (std::vector<int64_t>{0, 4, 7}));
  EXPECT_EQ(b.row_keys.size(), 7u);
}

TEST(Objective, MntpReadsTheRowBefore) {
  const std::vector<int32_t> ids = document(64);
  ObjectiveRule rule{.objective = Objective::mlm, .masking = kRule};
  TrainingBatch mlm, mntp;
  append_sequence(rule, {21, 0, 0, 1}, ids, &mlm);
  rule.masked_prediction = MaskedPrediction::mntp;
  append_sequence(rule, {21, 0, 0, 1}, ids, &mntp);
  EXPECT_EQ(mlm.batch.token_ids, mntp.batch.token_ids);
  EXPECT_EQ(mlm.targets.ids, mntp.targets.ids);
  ASSERT_GT(mlm.targets.rows.size(), 5u);
  for (size_t i = 0; i < mlm.targets.rows.size(); ++i) {
    EXPECT_EQ(mlm.targets.rows[i], mntp.targets.rows[i] + 1);
  }
  // Without a [CLS] in front, the first token has no row before it.
  rule.masking.rate = 1;
  TrainingBatch bare;
  append_sequence(rule, {}, std::vector<int32_t>{1, 2, 3}, &bare);
  EXPECT_EQ(bare.targets.rows, (std::vector<int64_t>{0, 1}));
}

TEST(Objective, DropoutKeysBelongToSequenceAndPosition) {
  std::vector<uint64_t> a, b;
  append_dropout_keys({21, 0, 0, 5}, 10, &a);
  append_dropout_keys({21, 0, 0, 5}, 20, &b);
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin()));
  EXPECT_EQ(std::set<uint64_t>(b.begin(), b.end()).size(), 20u);
}

}  // namespace
}  // namespace ettin
