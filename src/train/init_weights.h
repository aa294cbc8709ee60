// Initial weights as the original trainer's `full_megatron` draws them: normal with deviation
// sigma, cut off at 2 sigma on both sides (what is left has a deviation of 0.8796 sigma). sigma is
//
//   0.02              embeddings, Wqkv, Wi, the prediction head's dense, an untied decoder
//   0.02 / sqrt(2 L)  attention Wo, MLP Wo, the dense of a pooling head
//   1 / sqrt(H)       a classifier
//
// Biases are 0, gains 1. Source: ModernBERT's initialization.py.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "model/parameters.h"

namespace ettin {

// Each tensor is a pure function of (seed, its name, its shape, sigma): the two arms of a pair get
// the same numbers, and so do float and double. Precondition: `values` was made for `config`.
void init_weights(const ModelConfig& config, uint64_t seed, ThreadPool& threads,
                  Parameters* values);

}  // namespace ettin
