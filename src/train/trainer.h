// The training loop: a recipe and an arm to a run folder, bit for bit the same whatever interrupted
// it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ettin/status.h"
#include "model/arm.h"
#include "train/metrics.h"
#include "train/recipe.h"
#include "train/train_state.h"

namespace ettin {

struct TrainOptions {
  std::string run_folder;
  Arm arm = kEncoder;
  std::string backend = "cpu";
  int threads = 0;           // 0: the CPUs; changes no bit
  int64_t stop_at_step = 0;  // of the run; stops there with a checkpoint. 0: at the end
};

// What a run tells while it goes on. Called from the thread that trains.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  // `state`: where it begins, or goes on.
  virtual void started(const Recipe&, const TrainState& state) { (void)state; }
  virtual void stepped(const StepMetrics&) {}
  virtual void validated(const ValidationMetrics&) {}
  virtual void saved(const std::string& checkpoint) { (void)checkpoint; }
  virtual void note(std::string_view text) { (void)text; }
  // Asked after every step; true ends the run there with a checkpoint.
  virtual bool wants_stop() { return false; }
};

struct TrainOutcome {
  bool finished = false;  // all phases are done
  TrainState state;
  std::string checkpoint;       // the last one
  size_t activation_bytes = 0;  // memory of a pass
};

// Starts a run, or goes on with the one in the folder. Everything that can be wrong with recipe,
// data, tokenizer, folder and checkpoints is found before the first step.
Result<TrainOutcome> train(const Recipe& recipe, const TrainOptions& options,
                           TrainObserver& observer);

}  // namespace ettin
