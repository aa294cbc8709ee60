// What benchmarks time: the engine's own work, without text and without copies to the caller.
// Each returns wall-clock milliseconds. Ids must lie in the vocabulary and lengths in the model's
// positions; both are checked.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ettin/ettin.h"

namespace ettin {

// One forward pass over `sequences`, ragged. head_rows: vocabulary logits of no row (0), of the
// first row of each sequence (1) or of all rows (-1).
Result<double> time_forward(const Model& model, std::span<const std::vector<int32_t>> sequences,
                            int head_rows);

// Runs the same pass and reads what it computed: an error when a hidden state is not finite. A
// wrong result is worth no time.
Status check_forward(const Model& model, std::span<const std::vector<int32_t>> sequences);

// A prompt to the logits of its last row. Decoders.
Result<double> time_prefill(const Model& model, std::span<const int32_t> prompt);

// `new_tokens` greedy steps after a prompt whose own pass is not timed. Decoders.
Result<double> time_decode(const Model& model, std::span<const int32_t> prompt, int64_t new_tokens);

}  // namespace ettin
