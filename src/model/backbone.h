// The forward pass of every Ettin model, encoder or decoder.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/arena.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/tape.h"
#include "model/weights.h"

namespace ettin {

// cos and sin tables of the two thetas, grown to the longest position asked for. Thread-safe.
class RopeTables {
 public:
  RopeTables(const Backend& backend, const ModelConfig& config);

  struct Pair {
    RopeTable global, local;
  };
  Pair get(int64_t positions) const;

 private:
  const Backend& backend_;
  double global_theta_, local_theta_;
  int64_t head_dim_;
  mutable std::mutex mutex_;
  mutable Pair tables_;
};

// A network ready to run: immutable, shared by all calls.
struct Network {
  ModelConfig config;
  std::shared_ptr<const Backend> backend;
  Weights weights;
  std::unique_ptr<const RopeTables> rope;
};

// Called with the residual stream after the embedding norm (layer 0) and after each layer (1 .. L).
using LayerTrace = std::function<void(int64_t layer, ConstView residual)>;

// The hidden states [T, H] after the final norm, in `arena`. With `caches` (one per sequence of the
// batch, causal models only) the rows continue what the caches hold, and are added to them.
// With `tape` the pass is one of training: dropout is applied, and what backbone_backward needs is
// kept; not together with caches.
// Preconditions: T >= 1, ids in [0, V), batch.positions continue the caches.
View backbone_forward(const Network& network, const Batch& batch, std::span<KvCache* const> caches,
                      Arena& arena, const LayerTrace& trace = {}, Tape* tape = nullptr);

// Computes what `tape` keeps of a layer again from its input: the same bits.
void recompute_layer(const Network& network, const Batch& batch, int64_t layer, const Tape& tape,
                     Arena& arena);

}  // namespace ettin
