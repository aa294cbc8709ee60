// Where a run stands between two steps: with the recipe, the arm and the parameters, all that the
// next step depends on. A few integers; nothing random has to be kept (base/rng.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/parameters.h"

namespace ettin {

struct TrainState {
  int64_t phase = 0;                 // index into Recipe::phases
  int64_t phase_step = 0;            // steps of the phase that are done
  int64_t phase_tokens = 0;          // consumed in it, counted without padding
  int64_t phase_sequences = 0;       // consumed in it: the cursor into the data order
  int64_t step = 0;                  // of the whole run
  int64_t tokens = 0;                // of the whole run
  int64_t optimizer_step = 0;        // updates since the moments were zero
  int64_t skipped_steps = 0;         // left out as not finite or as spikes
  std::string data_chain;            // hash chain of all that was fed (train/data_log.h), hex
  std::vector<double> recent_norms;  // gradient norms that spikes are measured against
};

// Everything that a step changes.
struct TrainTensors {
  Parameters values;   // master weights
  Parameters moment1;  // m
  Parameters moment2;  // v
};

}  // namespace ettin
