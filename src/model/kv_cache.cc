#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace ettin {

KvCache::KvCache(const ModelConfig& config, Dtype dtype, int64_t positions)
    : hidden_size_(config.hidden_size), dtype_(dtype), positions_(positions) {
  ETTIN_CHECK(config.arm.direction == Direction::causal);
  layers_.resize(static_cast<size_t>(config.num_layers));
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (config.layer_is_global[l]) continue;
    layers_[l].most = window_ = config.causal_window_keys;
  }
}

void KvCache::reserve(int64_t count) {
  ETTIN_CHECK(past_ + count <= positions_);
  const auto row = static_cast<size_t>(hidden_size_) * dtype_bytes(dtype_);
  for (Layer& l : layers_) {
    const int64_t most = std::min(l.most, positions_), needed = std::min(past_ + count, most);
    if (l.capacity >= needed) continue;
    // The window's length is a number in a file: memory follows the positions instead. A ring that
    // can still grow has not wrapped, so position p lies in row p before and after.
    const int64_t capacity = std::min(std::max({needed, 2 * l.capacity, int64_t{64}}), most);
    for (Buffer* b : {&l.keys, &l.values}) {
      Buffer grown(static_cast<size_t>(capacity) * row);
      if (past_ > 0) std::memcpy(grown.data(), b->data(), static_cast<size_t>(past_) * row);
      *b = std::move(grown);
    }
    l.capacity = capacity;
  }
}

KvView KvCache::layer(int64_t layer) const {
  Layer& l = layers_[static_cast<size_t>(layer)];
  const auto view = [&](Buffer& b) {
    return View{b.data(), dtype_, l.capacity, hidden_size_, hidden_size_};
  };
  return {view(l.keys), view(l.values), past_};
}

KvCache KvCache::copy(int64_t past, int64_t room, int64_t positions) const {
  ETTIN_CHECK(can_copy(past) && past <= positions && room >= 0);
  const auto row = static_cast<size_t>(hidden_size_) * dtype_bytes(dtype_);
  KvCache other;
  other.hidden_size_ = hidden_size_;
  other.dtype_ = dtype_;
  other.window_ = window_;
  other.positions_ = positions;
  other.past_ = past;
  for (const Layer& from : layers_) {
    Layer& to = other.layers_.emplace_back();
    to.most = from.most;
    to.capacity = std::min({past + room, from.most, positions});
    // Position p stays in row p: either nothing has wrapped, or both rings are as long as they get.
    const size_t bytes = static_cast<size_t>(std::min(past, from.most)) * row;
    for (const auto buffer : {&Layer::keys, &Layer::values}) {
      to.*buffer = Buffer(static_cast<size_t>(to.capacity) * row);
      if (bytes > 0) std::memcpy((to.*buffer).data(), (from.*buffer).data(), bytes);
    }
  }
  return other;
}

int64_t KvCache::bytes() const {
  size_t total = 0;
  for (const Layer& l : layers_) total += l.keys.size() + l.values.size();
  return static_cast<int64_t>(total);
}

int64_t KvCache::bytes_for(const ModelConfig& config, Dtype dtype, int64_t positions) {
  int64_t rows = 0;
  for (const bool global : config.layer_is_global) {
    rows += global ? positions : std::min(positions, config.causal_window_keys);
  }
  return 2 * rows * config.hidden_size * static_cast<int64_t>(dtype_bytes(dtype));
}

}  // namespace ettin
