#include "train/validation.h"

#include <algorithm>
#include <utility>

namespace ettin {

Result<ValidationSet> ValidationSet::open(const Recipe& recipe, int64_t phase,
                                          const ObjectiveRule& rule, SequenceEnds ends) {
  // A recipe of one phase that feeds the held-out data once.
  Recipe held_out = recipe;
  held_out.loss_norm = LossNorm::token_mean;
  PhaseRecipe p = recipe.phases[static_cast<size_t>(phase)];
  p.data = recipe.validation.data;
  p.name = "validation";
  p.batch_sequences = 1;  // no more need be there
  held_out.phases = {p};
  Result<PhaseData> data = PhaseData::open(held_out, 0, rule, ends);
  if (data.status().code() == StatusCode::invalid_argument) {  // fewer than the one that is needed
    return Status(StatusCode::invalid_argument, "validation.data: it holds no sequences",
                  "hold out more when it is built (--holdout, --documents), or leave it out with "
                  "--set validation.data=null");
  }
  if (!data.ok()) return data.status();
  const int64_t sequences = std::min(recipe.validation.sequences, data->size());
  ETTIN_ASSIGN_OR_RETURN(StepData step, data->step(0, sequences));
  ValidationSet set;
  set.microbatches_ = std::move(step.microbatches);
  return set;
}

}  // namespace ettin
