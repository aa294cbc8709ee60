// Keys and values of one sequence over all layers, growing with it: up to the window's length for
// local layers, which are rings from there on, without end for global ones. Only causal models have
// one: a bidirectional token's keys change with every token that is added.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/kv_view.h"
#include "model/config.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace ettin {

class KvCache {
 public:
  // Precondition: config.arm.direction is causal.
  KvCache(const ModelConfig& config, Dtype dtype);

  int64_t past() const { return past_; }

  // Makes room for `count` more positions.
  void reserve(int64_t count);
  // Layer `layer` as the backend wants it; valid until the next reserve().
  KvView layer(int64_t layer) const;
  // Declares `count` appended positions as seen.
  void advance(int64_t count) { past_ += count; }

  int64_t bytes() const;

 private:
  struct Layer {
    Buffer keys, values;
    int64_t capacity = 0;      // positions that fit now
    int64_t most = INT64_MAX;  // positions that are ever needed
  };
  int64_t hidden_size_;
  Dtype dtype_;
  int64_t past_ = 0;
  mutable std::vector<Layer> layers_;  // views into it are handed out by layer()
};

}  // namespace ettin
