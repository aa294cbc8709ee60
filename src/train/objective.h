// What a sequence asks of the network under an objective: the only place where training tells the
// arms apart.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/token_dataset.h"
#include "ettin/status.h"
#include "model/arm.h"
#include "model/backward.h"
#include "model/batch.h"
#include "text/tokenizer.h"
#include "train/masking.h"
#include "train/recipe.h"

namespace ettin {

// Sequences that go through the network together, and what they have to predict.
struct TrainingBatch {
  Batch batch;
  Targets targets;
  std::vector<uint64_t> row_keys;  // [T], for dropout
};

struct ObjectiveRule {
  Objective objective = Objective::mlm;
  MaskedPrediction masked_prediction = MaskedPrediction::mlm;
  MaskingRule masking = {};
};

// The rule of a run; its rate is set per phase. An error where the tokenizer lacks a token that the
// objective needs, or has more entries than the model.
Result<ObjectiveRule> objective_rule(const Recipe& recipe, const Arm& arm,
                                     const Tokenizer& tokenizer);
SequenceEnds sequence_ends(const Tokenizer& tokenizer);

// Appends a sequence.
//   clm   row t predicts token t + 1; the last row of a sequence predicts nothing, so [SEP] is a
//         target and the [CLS] of the next document is not
//   mlm   the row of a masked position predicts the token that was there
//   mntp  the row before it does (masked next-token prediction, BehnamGhader et al. 2024)
void append_sequence(const ObjectiveRule& rule, const SequenceKey& key,
                     std::span<const int32_t> ids, TrainingBatch* to);

}  // namespace ettin
