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
  // `positions`: more than this will never come, so growth stops there.
  // Precondition: config.arm.direction is causal.
  KvCache(const ModelConfig& config, Dtype dtype, int64_t positions = INT64_MAX);

  int64_t past() const { return past_; }

  // Makes room for `count` more positions.
  void reserve(int64_t count);
  // Layer `layer` as the backend wants it; valid until the next reserve().
  KvView layer(int64_t layer) const;
  // Declares `count` appended positions as seen.
  void advance(int64_t count) { past_ += count; }

  // A copy of the first `past` positions with room for `room` more, which may grow to `positions`.
  // Precondition: can_copy(past).
  KvCache copy(int64_t past, int64_t room = 0, int64_t positions = INT64_MAX) const;
  // Whether every key that position `past` sees is still there: a ring forgets. The last position
  // can always be taken back, because a query sees itself and the ring has a row for it.
  bool can_copy(int64_t past) const {
    return past >= 0 && past <= past_ && (past_ <= window_ || past + 1 >= past_);
  }

  int64_t bytes() const;
  // Of a cache that has grown to `positions`.
  static int64_t bytes_for(const ModelConfig& config, Dtype dtype, int64_t positions);

 private:
  struct Layer {
    Buffer keys, values;
    int64_t capacity = 0;      // positions that fit now
    int64_t most = INT64_MAX;  // positions that are ever needed
  };
  KvCache() = default;

  int64_t hidden_size_ = 0;
  Dtype dtype_ = Dtype::f32;
  int64_t window_ = INT64_MAX;  // rows of a local layer's ring
  int64_t positions_ = INT64_MAX;
  int64_t past_ = 0;
  mutable std::vector<Layer> layers_;  // views into it are handed out by layer()
};

}  // namespace ettin
