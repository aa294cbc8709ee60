// What a run will do, worked out before anything is trained: steps, tokens, learning rates,
// checkpoints, memory and time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/phase_lengths.h"
#include "train/recipe.h"

namespace ettin {

// Bytes of a run in one phase.
struct MemoryEstimate {
  int64_t parameters = 0;  // master weights
  int64_t gradients = 0;
  int64_t moments = 0;      // two
  int64_t packed = 0;       // matrices as the kernels read them, forward and transposed
  int64_t activations = 0;  // of one microbatch
  int64_t cross_entropy = 0;

  int64_t total() const {
    return parameters + gradients + moments + packed + activations + cross_entropy;
  }
};

// Activations of a pass over `tokens` tokens, in bytes of fp32, as model/backbone.cc and
// model/backward.cc allocate them; a test compares. Kept for the backward pass, per token and
// layer: the inputs of attention and MLP (2H), qkv (3H), attention's output (H), its log sums (A),
// Wi's output (2I); with recompute the layer's input (H). Once: the layer's own set where it is
// computed again; before and after the layers 3H and the gradient of the last, H; going back 6H +
// 4I, and I for the forward's gated product.
int64_t activation_bytes(const ModelConfig& config, int64_t tokens, bool recompute);

MemoryEstimate estimate_memory(const Recipe& recipe, size_t phase, Arm arm,
                               int64_t microbatch_tokens);

// Floating-point operations of training on one token: three times the forward pass over a sequence
// of `length` tokens, of which a share `predicted` goes through the head (training.md 7):
//   forward = 2 L (4 H^2 + 3 H I) + 4 H sum over layers of the keys seen + 2 predicted (H^2 + H V)
double training_flops_per_token(const ModelConfig& config, int64_t length, double predicted);

struct PlanOptions {
  Arm arm = kEncoder;
  // One for each phase; where they are unknown, or the list is too short, every sequence counts as
  // max_length tokens.
  std::vector<PhaseLengths> lengths;
  double gflops = 0;  // of the machine while training; 0: no times
};

struct PlannedRate {
  double done = 0;  // share of the phase's tokens
  double learning_rate = 0;
};

struct PhasePlan {
  std::string name;
  int64_t steps = 0;
  int64_t tokens = 0;  // what those steps feed; the last one may pass the recipe's number
  int64_t sequences = 0;
  double mean_length = 0;        // that was assumed
  bool length_is_known = false;  // it came from the data
  int64_t checkpoints = 0;       // the phase's last included
  std::vector<PlannedRate> rates;
  int64_t microbatch_tokens = 0;  // of the largest
  MemoryEstimate memory;
  double flops = 0;
  double seconds = 0;  // 0: no speed was given
};

struct Plan {
  std::string name, arm;
  int64_t parameters = 0;
  double gflops = 0;
  std::vector<PhasePlan> phases;
  int64_t checkpoint_bytes = 0;  // of one: weights and moments
};

// Precondition: the recipe came from read_recipe.
Plan make_plan(const Recipe& recipe, const PlanOptions& options);

// A table for people, lines of at most 100 columns.
std::string format_plan(const Plan& plan);

}  // namespace ettin
