#include "model/backbone.h"

#include <algorithm>

#include "base/check.h"

namespace ettin {

RopeTables::RopeTables(const Backend& backend, const ModelConfig& config)
    : backend_(backend),
      global_theta_(config.global_rope_theta),
      local_theta_(config.local_rope_theta),
      head_dim_(config.head_dim()) {}

RopeTables::Pair RopeTables::get(int64_t positions) const {
  const std::lock_guard lock(mutex_);
  if (tables_.global.positions < positions) {
    const int64_t grown = std::max({positions, 2 * tables_.global.positions, int64_t{512}});
    tables_.global = backend_.make_rope_table(global_theta_, head_dim_, grown);
    tables_.local = local_theta_ == global_theta_
                        ? tables_.global
                        : backend_.make_rope_table(local_theta_, head_dim_, grown);
  }
  return tables_;
}

View backbone_forward(const Network& network, const Batch& batch, std::span<KvCache* const> caches,
                      Arena& arena, const LayerTrace& trace) {
  const ModelConfig& c = network.config;
  const Backend& b = *network.backend;
  const Weights& w = network.weights;
  const int64_t T = batch.tokens(), H = c.hidden_size, I = c.intermediate_size, A = c.num_heads;
  ETTIN_CHECK(T > 0);
  ETTIN_CHECK(caches.empty() || static_cast<int64_t>(caches.size()) == batch.sequences());

  const auto sequence_length = [&](size_t n) { return batch.starts[n + 1] - batch.starts[n]; };
  const int64_t last = *std::max_element(batch.positions.begin(), batch.positions.end());
  const RopeTables::Pair tables = network.rope->get(last + 1);
  for (size_t n = 0; n < caches.size(); ++n) caches[n]->reserve(sequence_length(n));
  std::vector<KvView> past(caches.size());

  const View x = b.allocate(arena, T, H);  // the residual stream
  const View qkv = b.allocate(arena, T, 3 * H);
  const View seen = b.allocate(arena, T, H);  // what attention returns
  const View gated = b.allocate(arena, T, I);

  b.embed(w.token_embedding, batch.token_ids, x);  // (T, H)
  b.layer_norm(x, w.embedding_norm, x);            // (T, H)
  if (trace) trace(0, x);

  for (int64_t i = 0; i < c.num_layers; ++i) {
    const LayerWeights& l = w.layers[static_cast<size_t>(i)];
    const bool global = c.layer_is_global[static_cast<size_t>(i)];
    for (size_t n = 0; n < caches.size(); ++n) past[n] = caches[n]->layer(i);

    b.linear(x, l.attn_norm, l.qkv, Epilogue::store, Activation::identity, qkv);  // (T, 3H)
    b.rope(qkv, batch.positions, global ? tables.global : tables.local, A);       // (T, 3H)
    b.attention(qkv, batch.starts, c.attention(i), A, past, seen);                // (T, H)
    if (!caches.empty()) b.kv_append(qkv, batch.starts, past);
    b.linear(seen, l.attn_out, Epilogue::add, Activation::identity, x);  // x += (T, H)

    b.linear(x, l.mlp_norm, l.mlp_in, Epilogue::gated, c.activation, gated);  // (T, I)
    b.linear(gated, l.mlp_out, Epilogue::add, Activation::identity, x);       // x += (T, H)
    if (trace) trace(i + 1, x);
  }
  const View hidden = seen;
  b.layer_norm(x, w.final_norm, hidden);  // (T, H)
  for (size_t n = 0; n < caches.size(); ++n) caches[n]->advance(sequence_length(n));
  return hidden;
}

}  // namespace ettin
