#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace ettin {

KvCache::KvCache(const ModelConfig& config, Dtype dtype)
    : hidden_size_(config.hidden_size), dtype_(dtype) {
  ETTIN_CHECK(config.arm.direction == Direction::causal);
  layers_.resize(static_cast<size_t>(config.num_layers));
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (!config.layer_is_global[l]) layers_[l].most = config.causal_window_keys;
  }
}

void KvCache::reserve(int64_t count) {
  const auto row = static_cast<size_t>(hidden_size_) * dtype_bytes(dtype_);
  for (Layer& l : layers_) {
    const int64_t needed = std::min(past_ + count, l.most);
    if (l.capacity >= needed) continue;
    // The window's length is a number in a file: memory follows the positions instead. A ring that
    // can still grow has not wrapped, so position p lies in row p before and after.
    const int64_t capacity = std::min(std::max({needed, 2 * l.capacity, int64_t{64}}), l.most);
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

int64_t KvCache::bytes() const {
  size_t total = 0;
  for (const Layer& l : layers_) total += l.keys.size() + l.values.size();
  return static_cast<int64_t>(total);
}

}  // namespace ettin
