// The inputs and targets of masked language modelling as pure functions of what the numbers belong
// to: (seed, phase, epoch, sequence, position). They depend on no batch, thread or resume.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace ettin {

// Names one sequence of a run; the same for both arms.
struct SequenceKey {
  uint64_t seed = 0;
  int64_t phase = 0, epoch = 0, sequence = 0;

  // For random_bits(seed, stream(), index): one stream per sequence.
  uint64_t stream() const;
};

// -1: the vocabulary has no such token.
struct SpecialTokens {
  int32_t unk = -1, cls = -1, sep = -1, pad = -1, mask = -1;

  bool contains(int32_t id) const {
    return id == unk || id == cls || id == sep || id == pad || id == mask;
  }
};

struct MaskingRule {
  double rate = 0.3;  // of the positions that hold no special token
  SpecialTokens special = {};
  int64_t vocab_size = 0;  // a random token is one of these, specials included
};

// Masks `ids` in place: each position without a special token is selected with probability `rate`,
// independently; of the selected 80 % become [MASK], 10 % a random token, 10 % stay (BERT, Devlin
// et al. 2019). Appends the selected positions and the tokens that were there.
void mask_tokens(const SequenceKey& key, const MaskingRule& rule, std::span<int32_t> ids,
                 std::vector<int64_t>* positions, std::vector<int32_t>* targets);

// One key per position, for dropout.
void append_dropout_keys(const SequenceKey& key, int64_t length, std::vector<uint64_t>* keys);

}  // namespace ettin
