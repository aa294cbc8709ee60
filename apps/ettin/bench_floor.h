// How fast a case could be at most: its useful arithmetic at the machine's measured rate, or its
// bytes at the measured read bandwidth, whichever takes longer.
//
// A multiply-add counts 2. Per token and layer the matrices take 2 (4 H^2 + 3 H I); attention takes
// 4 H per query and visible key: S keys in global layers (half of them when causal), at most the
// window's in local ones. A vocabulary position takes 2 H^2 + 2 H V. No padding, and no head where
// nobody asked for it. The integer floor takes attention at the integer rate too: optimistic.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "model/config.h"
#include "model/weights.h"

namespace ettin::cli {

// Sequences of these lengths, `head_rows` vocabulary positions in all.
double forward_flop(const ModelConfig& config, std::span<const int64_t> lengths, int64_t head_rows);
// One new token behind `context` others, with its vocabulary position.
double decode_flop(const ModelConfig& config, int64_t context);
// Keys and values that one new token behind `context` others reads.
double cache_bytes(const ModelConfig& config, int64_t context, int64_t bytes_per_element);

// Elements of the matrices at bits_per_weight of their format; norms and biases are left out.
struct WeightBytes {
  double layers = 0;  // what every forward pass reads
  double head = 0;    // prediction head and vocabulary projection, tied or not
  double all = 0;     // what is kept: a tied matrix once
};
WeightBytes weight_bytes(const ModelConfig& config, const Weights& weights);

// The peak that bounds multiplication: "fp32", "bf16" or "int8". With exact activations products
// are fp32 whatever the weights are.
std::string_view multiply_metric(WeightFormat format, bool exact_activations);

struct Floor {
  double ms = 0;  // 0: unknown, a peak is missing
  bool by_memory = false;
};
// `rate` in GFLOP/s (GOP/s), `bandwidth` in GB/s; 0 where unknown.
Floor floor_of(double flop, double bytes, double rate, double bandwidth);

}  // namespace ettin::cli
