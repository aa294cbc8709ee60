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
// sequence has its whole prompt pending, or the next chunk of it, a running one the token it was
// just given: prefill and decoding are the same step.
struct DecodeInput {
  KvCache* cache;
  std::span<const int32_t> pending;
  bool wanted = true;  // the next token is asked for; not after a chunk that is not the last
};

// Runs the pending ids of every sequence as one ragged batch into their caches. Returns the hidden
// states of the last rows that are wanted, in order [N, H], in `arena`. Preconditions: a causal
// model; every sequence has an id pending.
View decode_step(const Session& session, std::span<const DecodeInput> inputs, Arena& arena);

}  // namespace ettin
