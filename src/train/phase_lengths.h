// How long the sequences of each phase are, for a plan.
#pragma once

#include <cstdint>
#include <vector>

#include "ettin/status.h"
#include "train/recipe.h"

namespace ettin {

// Tokens after the cut at max_length. Zeros: not known.
struct PhaseLengths {
  double mean = 0;  // of a sequence
  int64_t largest_microbatch = 0;
};

// Reads what each phase feeds, in the run's order: all of it, or the first 100,000 sequences. A
// phase one of whose folders is not there stays unknown; data that are there and wrong are an error
// that names the phase.
Result<std::vector<PhaseLengths>> measure_lengths(const Recipe& recipe);

}  // namespace ettin
