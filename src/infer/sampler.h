// From one row of logits to the next token.
//
// Order, as in Hugging Face's generation (logits_process.py): repetition penalty, temperature,
// top-k, top-p, min-p, softmax, draw. Temperature 0 takes the largest, ties to the lowest id.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ettin/tasks.h"

namespace ettin {

class Sampler {
 public:
  // Draws come from stream `stream` of options.seed: a pure function of both and of the step.
  Sampler(const GenerateOptions& options, uint64_t stream) : options_(options), stream_(stream) {}

  // True when the answer is simply the largest logit.
  bool is_plain_greedy() const {
    return options_.temperature == 0 && options_.repetition_penalty == 1;
  }

  // `logits` [V] is overwritten; `seen` holds the ids of prompt and answer so far.
  int32_t choose(std::span<double> logits, std::span<const int32_t> seen);

 private:
  const GenerateOptions& options_;
  uint64_t stream_;
  uint64_t step_ = 0;
  std::vector<uint8_t> penalised_;
};

}  // namespace ettin
