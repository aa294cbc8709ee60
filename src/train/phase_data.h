// The data of one phase: which sequences a step feeds, and the microbatches that they become.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/data_order.h"
#include "data/token_dataset.h"
#include "ettin/status.h"
#include "train/gradient_pass.h"
#include "train/objective.h"
#include "train/recipe.h"

namespace ettin {

// What a step feeds, ready to run.
struct StepData {
  std::vector<Microbatch> microbatches;
  int64_t sequences = 0, tokens = 0, targets = 0;
  int64_t epoch = 0, first = 0;  // `first`: the cursor of its first sequence
  std::string batch_hash;        // of the tokens before masking (train/data_log.h)
};

// How the original trainer cut a step over its machines: rank r takes sequences r, r + ranks, ...,
// in microbatches of so many. It matters to LossNorm::microbatch_mean alone.
struct VirtualLayout {
  int64_t ranks = 1, microbatch = 1;
};

// Not thread-safe.
class PhaseData {
 public:
  // `phase` is the phase's number in the recipe; `rule` carries objective and special tokens, its
  // rate is the phase's.
  static Result<PhaseData> open(const Recipe& recipe, int64_t phase, ObjectiveRule rule,
                                SequenceEnds ends);

  // The step that feeds `sequences` sequences from `cursor` on.
  Result<StepData> step(int64_t cursor, int64_t sequences);

  int64_t size() const { return dataset_->size(); }
  const std::string& identity() const { return dataset_->identity(); }
  const TokenDataset& dataset() const { return *dataset_; }

 private:
  PhaseData(const Recipe& recipe, int64_t phase, ObjectiveRule rule,
            std::shared_ptr<const TokenDataset> dataset);

  // Numbers of the step's sequences in the order in which they run, cut into microbatches, each
  // with the group whose mean it belongs to.
  struct Cut {
    std::vector<int64_t> slots;
    int64_t group = 0;
  };
  std::vector<Cut> cut(int64_t sequences) const;

  std::shared_ptr<const TokenDataset> dataset_;
  DataOrder order_;
  ObjectiveRule rule_;
  uint64_t seed_;
  int64_t phase_, max_length_, microbatch_;
  LossNorm loss_norm_;
  VirtualLayout layout_;
};

}  // namespace ettin
