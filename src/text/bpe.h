// Byte-pair encoding of one word: the pair of lowest rank is merged first, of equal ones the
// leftmost, one at a time. O(n log n) for any word and any merges; nearly linear.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace ettin {

struct MergeRule {  // its rank is its place in the list
  int32_t left = 0;
  int32_t right = 0;
  int32_t merged = 0;
};

// (left, right) -> (rank, merged id).
class MergeTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Rule {
    uint32_t rank = kNone;
    int32_t merged = -1;
  };

  explicit MergeTable(size_t rules);
  // Of the next rank. False when the pair has a rule already.
  bool add(const MergeRule& rule);
  Rule find(int32_t left, int32_t right) const {
    const Slot& slot = slots_[slot_of(left, right)];
    return {slot.rank, slot.merged};
  }
  const MergeRule& of_rank(uint32_t rank) const { return rules_[rank]; }

 private:
  struct Slot {
    int32_t left = -1;
    int32_t right = -1;
    uint32_t rank = kNone;
    int32_t merged = -1;
  };
  size_t slot_of(int32_t left, int32_t right) const;

  std::vector<MergeRule> rules_;  // by rank
  std::vector<Slot> slots_;       // open addressing; rank kNone: free
  uint64_t seed_;
};

class Bpe {
 public:
  // `vocabulary` must outlive this. With `whole_words`, a word that is a token itself is never
  // taken apart (ignore_merges of tokenizer.json).
  Bpe(const Vocabulary& vocabulary, MergeTable merges, bool whole_words);

  // Appends the ids of `word`, which is bytes, not their spelling. Bytes without a symbol in the
  // vocabulary are left out.
  void encode(std::string_view word, std::vector<int32_t>* ids) const;

 private:
  // Words of up to this many bytes are merged by scanning, longer ones rank by rank.
  static constexpr size_t kScanned = 40;

  void merge_scanning(std::string_view word, std::vector<int32_t>* ids) const;
  void merge_by_rank(std::string_view word, std::vector<int32_t>* ids) const;

  const Vocabulary& vocabulary_;
  MergeTable merges_;
  bool whole_words_;
  std::array<int32_t, 256> symbol_;  // of each byte; -1: none
};

}  // namespace ettin
