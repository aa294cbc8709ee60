#include "model/backbone.h"

#include <algorithm>
#include <cstring>

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

namespace {

// A pass of training keeps states and applies dropout; here is all that it does otherwise.
class LayerPass {
 public:
  LayerPass(const Network& network, const Batch& batch, const Tape* tape, Arena& arena)
      : b_(*network.backend), c_(network.config), batch_(batch), tape_(tape) {
    const int64_t T = batch.tokens();
    gated_ = b_.allocate(arena, T, c_.intermediate_size);
    if (tape != nullptr && tape->attention_out_dropout > 0) {
      branch_ = b_.allocate(arena, T, c_.hidden_size);
    }
  }

  std::span<const KvView> past;  // of the layer, one per sequence, or none

  void attention(int64_t layer, const LayerTape& s) const {
    const AttentionSpec spec = c_.attention(layer);
    if (tape_ != nullptr) {
      tape_->ops->attention(s.qkv, batch_.starts, spec, c_.num_heads, s.seen, s.log_sums);
    } else {
      b_.attention(s.qkv, batch_.starts, spec, c_.num_heads, past, s.seen);
      if (!past.empty()) b_.kv_append(s.qkv, batch_.starts, past);
    }
  }

  void gate(const LayerTape& s, const LayerWeights& l) const {
    if (tape_ != nullptr) {
      b_.linear(s.middle, l.mlp_norm, l.mlp_in, Epilogue::store, Activation::identity, s.up);
      tape_->ops->gate(s.up, c_.activation, gated_);
    } else {
      b_.linear(s.middle, l.mlp_norm, l.mlp_in, Epilogue::gated, c_.activation, gated_);
    }
  }

  void add_attention(const LayerTape& s, const LayerWeights& l, int64_t layer) const {
    copy_rows(s.input, s.middle);
    if (!branch_.data) {
      b_.linear(s.seen, l.attn_out, Epilogue::add, Activation::identity, s.middle);
    } else {
      b_.linear(s.seen, l.attn_out, Epilogue::store, Activation::identity, branch_);
      tape_->ops->dropout(branch_, tape_->dropout(layer), Epilogue::add, s.middle);
    }
  }

  void add_mlp(const LayerTape& s, const LayerWeights& l) const {
    copy_rows(s.middle, s.output);
    b_.linear(gated_, l.mlp_out, Epilogue::add, Activation::identity, s.output);
  }

 private:
  // Without a tape the states of the residual stream are one view.
  void copy_rows(ConstView from, View to) const {
    if (from.data == to.data) return;
    const size_t bytes = static_cast<size_t>(from.cols) * dtype_bytes(from.dtype);
    b_.threads().parallel_for(from.rows, [&](int64_t t, int) {
      std::memcpy(to.slice_rows(t, 1).data, from.slice_rows(t, 1).data, bytes);
    });
  }

  const Backend& b_;
  const ModelConfig& c_;
  const Batch& batch_;
  const Tape* tape_;
  View gated_;   // (T, I), shared by all layers
  View branch_;  // (T, H), with dropout only
};

// Memory for the states of every layer: one set for all without a tape, a set each with one.
std::vector<LayerTape> allocate_layers(const Network& network, int64_t T, const Tape* tape,
                                       Arena& arena) {
  const ModelConfig& c = network.config;
  const Backend& b = *network.backend;
  const int64_t H = c.hidden_size;
  std::vector<LayerTape> layers(static_cast<size_t>(c.num_layers));
  for (size_t i = 0; i < layers.size(); ++i) {
    LayerTape& l = layers[i];
    if (i > 0) l = layers[i - 1];
    if (i == 0 || tape != nullptr) l.input = i == 0 ? b.allocate(arena, T, H) : l.output;
    if (i == 0 || (tape != nullptr && !tape->recompute)) {
      l.qkv = b.allocate(arena, T, 3 * H);
      l.seen = b.allocate(arena, T, H);
      l.middle = tape != nullptr ? b.allocate(arena, T, H) : l.input;
      if (tape != nullptr) {
        l.log_sums = b.allocate(arena, T, c.num_heads);
        l.up = b.allocate(arena, T, 2 * c.intermediate_size);
      }
    }
    l.output = tape != nullptr ? b.allocate(arena, T, H) : l.input;
  }
  return layers;
}

enum class Extent : uint8_t { whole, until_gate };  // until_gate: all that a tape keeps

void layer_forward(const Network& network, const Batch& batch, const RopeTables::Pair& tables,
                   const LayerPass& pass, int64_t i, const LayerTape& s, Extent extent) {
  const ModelConfig& c = network.config;
  const Backend& b = *network.backend;
  const LayerWeights& l = network.weights.layers[static_cast<size_t>(i)];
  const RopeTable& rope = c.layer_is_global[static_cast<size_t>(i)] ? tables.global : tables.local;

  b.linear(s.input, l.attn_norm, l.qkv, Epilogue::store, Activation::identity, s.qkv);  // (T, 3H)
  b.rope(s.qkv, batch.positions, rope, c.num_heads);                                    // (T, 3H)
  pass.attention(i, s);                                                                 // (T, H)
  pass.add_attention(s, l, i);  // middle = input + (T, H)
  pass.gate(s, l);              // (T, I)
  if (extent == Extent::until_gate) return;
  pass.add_mlp(s, l);  // output = middle + (T, H)
}

}  // namespace

View backbone_forward(const Network& network, const Batch& batch, std::span<KvCache* const> caches,
                      Arena& arena, const LayerTrace& trace, Tape* tape) {
  const ModelConfig& c = network.config;
  const Backend& b = *network.backend;
  const Weights& w = network.weights;
  const int64_t T = batch.tokens(), H = c.hidden_size;
  ETTIN_CHECK(T > 0);
  ETTIN_CHECK(caches.empty() || static_cast<int64_t>(caches.size()) == batch.sequences());
  ETTIN_CHECK(caches.empty() || tape == nullptr);

  const auto sequence_length = [&](size_t n) { return batch.starts[n + 1] - batch.starts[n]; };
  const RopeTables::Pair tables = network.rope->get(batch.position_count());
  for (size_t n = 0; n < caches.size(); ++n) caches[n]->reserve(sequence_length(n));
  std::vector<KvView> past(caches.size());

  std::vector<LayerTape> layers = allocate_layers(network, T, tape, arena);
  LayerPass pass(network, batch, tape, arena);
  const View x = layers.front().input;  // the residual stream
  const View embedded = tape != nullptr ? b.allocate(arena, T, H) : x;

  if (tape != nullptr) {
    tape->ops->embed(tape->token_embedding, batch.token_ids, embedded);  // (T, H)
  } else {
    b.embed(w.token_embedding, batch.token_ids, embedded);  // (T, H)
  }
  b.layer_norm(embedded, w.embedding_norm, x);  // (T, H)
  if (trace) trace(0, x);

  for (int64_t i = 0; i < c.num_layers; ++i) {
    const LayerTape& layer = layers[static_cast<size_t>(i)];
    for (size_t n = 0; n < caches.size(); ++n) past[n] = caches[n]->layer(i);
    pass.past = past;
    layer_forward(network, batch, tables, pass, i, layer, Extent::whole);  // (T, H)
    if (trace) trace(i + 1, layer.output);
  }
  const View last = layers.back().output;
  const View hidden = tape != nullptr ? b.allocate(arena, T, H) : layers.back().seen;
  b.layer_norm(last, w.final_norm, hidden);  // (T, H)
  for (size_t n = 0; n < caches.size(); ++n) caches[n]->advance(sequence_length(n));
  if (tape != nullptr) {
    tape->embedded = embedded;
    tape->layers = std::move(layers);
    tape->last = last;
  }
  return hidden;
}

void recompute_layer(const Network& network, const Batch& batch, int64_t layer, const Tape& tape,
                     Arena& arena) {
  const Arena::Mark mark = arena.mark();
  const LayerPass pass(network, batch, &tape, arena);
  layer_forward(network, batch, network.rope->get(batch.position_count()), pass, layer,
                tape.layers[static_cast<size_t>(layer)], Extent::until_gate);
  arena.release_to(mark);
}

}  // namespace ettin
