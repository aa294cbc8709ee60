#include "train/objective.h"

#include <fmt/format.h>

namespace ettin {

Result<ObjectiveRule> objective_rule(const Recipe& recipe, const Arm& arm,
                                     const Tokenizer& tokenizer) {
  if (tokenizer.vocab_size() > recipe.model.vocab_size) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("model.vocab_size is {}, but the tokenizer in {} has {} entries",
                              recipe.model.vocab_size, recipe.tokenizer, tokenizer.vocab_size()),
                  fmt::format("set model.vocab_size to at least {}", tokenizer.vocab_size()));
  }
  ObjectiveRule rule;
  rule.objective = arm.objective;
  rule.masked_prediction = recipe.masked_prediction;
  rule.masked_prediction = recipe.masked_prediction;
  rule.masking.vocab_size = tokenizer.vocab_size();
  SpecialTokens& special = rule.masking.special;
  special.unk = tokenizer.unk_id().value_or(-1);
  special.cls = tokenizer.cls_id().value_or(-1);
  special.sep = tokenizer.sep_id().value_or(-1);
  special.pad = tokenizer.pad_id().value_or(-1);
  special.mask = tokenizer.mask_id().value_or(-1);
  if (arm.objective == Objective::mlm && special.mask < 0) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("the tokenizer in {} has no [MASK]", recipe.tokenizer),
                  "make one with `ettin tokenizer train`, or train the decoder only");
  }
  return rule;
}

SequenceEnds sequence_ends(const Tokenizer& tokenizer) {
  return {tokenizer.cls_id().value_or(-1), tokenizer.sep_id().value_or(-1)};
}

void append_sequence(const ObjectiveRule& rule, const SequenceKey& key,
                     std::span<const int32_t> ids, TrainingBatch* to) {
  std::vector<int32_t> inputs(ids.begin(), ids.end());
  std::vector<int64_t> positions;
  std::vector<int32_t> targets;
  int64_t shift = 0;  // from the position of a target to the row that predicts it
  if (rule.objective == Objective::clm) {
    shift = -1;
    for (size_t t = 1; t < ids.size(); ++t) {
      positions.push_back(static_cast<int64_t>(t));
      targets.push_back(ids[t]);
    }
  } else {
    mask_tokens(key, rule.masking, inputs, &positions, &targets);
    if (rule.masked_prediction == MaskedPrediction::mntp) shift = -1;
  }
  const int64_t first = to->batch.append(inputs);
  for (size_t m = 0; m < positions.size(); ++m) {
    if (positions[m] + shift < 0) continue;  // nothing stands before the first position
    to->targets.rows.push_back(first + positions[m] + shift);
    to->targets.ids.push_back(targets[m]);
  }
  append_dropout_keys(key, static_cast<int64_t>(ids.size()), &to->row_keys);
}

}  // namespace ettin
