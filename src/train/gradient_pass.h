// Forward and backward of one step: its microbatches in order, their gradients summed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/arena.h"
#include "model/backward.h"
#include "train/objective.h"

namespace ettin {

// What runs through the network at once, and the factor of each of its targets' losses in the
// step's: 1 / targets of the step for a token mean.
struct Microbatch {
  TrainingBatch data;
  double scale = 0;
};

struct PassOptions {
  double attention_out_dropout = 0;
  bool recompute = false;
  bool pad_row_quirk = false;
};

// Not thread-safe; memory is kept from step to step.
class GradientPass {
 public:
  GradientPass(const ModelConfig& config, Dtype dtype);

  // The step's loss: sum over microbatches of scale times the sum of losses. Its gradients are in
  // gradients() afterwards. `options.attention_out_dropout` > 0 needs row keys.
  double run(const TrainedNetwork& trained, std::span<const Microbatch> step,
             const PassOptions& options);
  // The same loss without gradients and without dropout, and the share of the step's targets that
  // no token is likelier than (0 without targets).
  struct Evaluation {
    double loss = 0, accuracy = 0;
  };
  Evaluation evaluate(const TrainedNetwork& trained, std::span<const Microbatch> step);

  Parameters& gradients() { return gradients_; }
  size_t activation_bytes() const { return arena_.capacity(); }

 private:
  double run_one(const TrainedNetwork& trained, const Microbatch& m, const PassOptions& options,
                 bool backward);

  Parameters gradients_;
  Arena arena_;
  std::vector<double> losses_;  // of a microbatch's targets
  std::vector<uint8_t> best_;   // the same, where they are asked for
};

}  // namespace ettin
