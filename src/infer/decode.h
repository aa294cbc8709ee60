// One step of autoregressive decoding for many sequences at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/arena.h"
#include "infer/session.h"
#include "model/kv_cache.h"

namespace ettin {

// A sequence being continued: what the cache holds, and the ids that it does not hold yet. A new
// sequence has its whole prompt pending, a running one the token it was just given: prefill and
// decoding are the same step.
struct DecodeState {
  KvCache cache;
  std::vector<int32_t> pending;
};

// Runs the pending ids of every state as one ragged batch and empties them. Returns the hidden
// states of the last row of each state [N, H], in `arena`. Precondition: a causal model.
View decode_step(const Session& session, std::span<DecodeState* const> states, Arena& arena);

}  // namespace ettin
