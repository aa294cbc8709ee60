// What stands on the backbone. Every head runs only on the rows that a task wants.
#pragma once

#include <span>

#include "base/arena.h"
#include "model/backbone.h"

namespace ettin {

// dense, activation, norm.  x [M, H] -> [M, H]
View prediction_head(const Network& network, ConstView x, Arena& arena);

// Logits over the vocabulary of chosen rows of the hidden states.  hidden [T, H] -> [M, V]
// Precondition: config.head is language_model.
View vocab_logits(const Network& network, ConstView hidden, std::span<const int64_t> rows,
                  Arena& arena);

// How a sequence's rows become the one that its label is read from.
Pooling sequence_pooling(const ModelConfig& config);

// One row of label logits per sequence (head sequence_classification).  [N, labels]
// Bidirectional: pool ("cls" or "mean"), then the head. Causal: the last token that is not padding,
// which in a ragged batch is the last row.
View sequence_logits(const Network& network, ConstView hidden, std::span<const int64_t> starts,
                     Arena& arena);

// One row of label logits per token (head token_classification).  [T, labels]
View token_logits(const Network& network, ConstView hidden, Arena& arena);

}  // namespace ettin
