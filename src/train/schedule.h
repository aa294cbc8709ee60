// What the recipe says at a point of a phase: the learning rate and the number of sequences.
// t = tokens of the phase consumed before the step, counted without padding, so a phase's first
// step has t = 0. Pure functions.
#pragma once

#include <cstdint>

#include "train/recipe.h"

namespace ettin {

// m(t), the factor on the phase's peak. T = phase_tokens, W = warmup_tokens, D = decay_tokens,
// a = final_factor, x = (t - (T - D)) / D:
//   warm-up, t < W      1e-10 + (t / W) (1 - 1e-10)
//   stable, t < T - D   1
//   linear              max(0, 1 - x (1 - a))
//   cosine              a + (1 - a) (1 + cos(pi x)) / 2
//   one_minus_sqrt      max(a, a + (1 - a) (1 - sqrt(x)))
// Sources: ModernBERT's scheduler.py and Composer's LinearScheduler, CosineAnnealingScheduler.
double schedule_factor(const Schedule& schedule, int64_t phase_tokens, int64_t t);

double learning_rate_at(const PhaseRecipe& phase, int64_t t);

// Sequences of the step that starts at t. During the warm-up they grow by one microbatch at a time
// and every size is kept for the same number of steps: in units of microbatches the sizes are
// b = b0 .. B - 1, and size b ends at ceil(W * (b0 + ... + b) / (b0 + ... + B - 1)) tokens.
// Precondition: batch_warmup_from and batch_sequences are multiples of microbatch_sequences.
int64_t batch_sequences_at(const PhaseRecipe& phase, int64_t t);

}  // namespace ettin
