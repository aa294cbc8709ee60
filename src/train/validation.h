// Held-out sequences of a recipe, the same ones with the same masks whenever they are asked for.
#pragma once

#include <span>
#include <vector>

#include "ettin/status.h"
#include "train/phase_data.h"

namespace ettin {

class ValidationSet {
 public:
  // The first recipe.validation.sequences of the order that shuffle_seed gives, cut and masked as
  // the phase says.
  static Result<ValidationSet> open(const Recipe& recipe, int64_t phase, const ObjectiveRule& rule,
                                    SequenceEnds ends);

  // Their losses are means over all targets.
  std::span<const Microbatch> microbatches() const { return microbatches_; }

 private:
  std::vector<Microbatch> microbatches_;
};

}  // namespace ettin
