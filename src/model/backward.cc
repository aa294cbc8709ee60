#include "model/backward.h"

#include <cstring>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "model/heads.h"

namespace ettin {

void TrainedNetwork::repack() {
  const Gradients& g = ops();
  const double eps = network.config.norm_eps;
  for_each_tensor(
      network.config,
      [&](const TensorSpec& spec, auto& weight, auto& across, Parameter& value) {
        if (spec.use == MatrixUse::embedding) return;  // looked up in the master weights
        if constexpr (std::is_same_v<std::decay_t<decltype(weight)>, NormWeight>) {
          g.pack(value.weight, value.bias, eps, &weight);
        } else {
          g.pack(value.weight, value.bias, &weight, &across);
        }
      },
      network.weights, transposed, values);
}

void TrainedNetwork::set_config(ModelConfig config) {
  network.config = std::move(config);
  network.rope = std::make_unique<RopeTables>(*network.backend, network.config);
}

TrainedNetwork make_trained_network(ModelConfig config, std::shared_ptr<const Backend> backend,
                                    Parameters values) {
  ETTIN_CHECK(backend->gradients() != nullptr);
  TrainedNetwork t;
  t.network.backend = std::move(backend);
  t.set_config(std::move(config));
  const auto layers = static_cast<size_t>(t.network.config.num_layers);
  t.network.weights.layers.resize(layers);
  t.transposed.layers.resize(layers);
  t.values = std::move(values);
  t.repack();
  return t;
}

namespace {

// One matrix, its inputs and the gradient of its outputs.
struct LinearBackward {
  const Backend& b;
  const Gradients& g;

  // Adds to the gradient of the matrix and its bias. x is the input before `norm`.
  void weight(ConstView dy, ConstView x, const NormWeight& norm, Parameter& gradient) const {
    g.linear_weight_backward(dy, x, norm, gradient.weight);
    if (gradient.bias.data != nullptr) g.linear_bias_backward(dy, gradient.bias);
  }
  // dx = or += dy W
  void input(ConstView dy, const LinearWeight& transposed, Epilogue epilogue, View dx) const {
    b.linear(dy, transposed, epilogue, Activation::identity, dx);
  }
};

void zero(View x) {
  for (int64_t t = 0; t < x.rows; ++t) {
    std::memset(x.slice_rows(t, 1).data, 0, static_cast<size_t>(x.cols) * dtype_bytes(x.dtype));
  }
}

}  // namespace

void backbone_backward(const TrainedNetwork& trained, const Batch& batch, const Tape& tape,
                       ConstView d_hidden, Arena& arena, Parameters* gradients) {
  const Network& network = trained.network;
  const ModelConfig& c = network.config;
  const Backend& b = *network.backend;
  const Gradients& g = trained.ops();
  const LinearBackward linear{b, g};
  const int64_t T = batch.tokens(), H = c.hidden_size, I = c.intermediate_size, A = c.num_heads;
  const RopeTables::Pair tables = network.rope->get(batch.position_count());

  const View dx = b.allocate(arena, T, H);        // of the residual stream
  const View d_branch = b.allocate(arena, T, H);  // of what a branch adds, or of its normed input
  const View d_seen = b.allocate(arena, T, H);    // of what attention returned
  const View d_qkv = b.allocate(arena, T, 3 * H);
  const View gated = b.allocate(arena, T, I), d_gated = b.allocate(arena, T, I);
  const View d_up = b.allocate(arena, T, 2 * I);

  Parameter& d_final = gradients->final_norm;
  g.layer_norm_backward(tape.last, network.weights.final_norm, d_hidden, Epilogue::store, dx,
                        d_final.weight, d_final.bias);  // (T, H)

  for (int64_t i = c.num_layers - 1; i >= 0; --i) {
    const LayerTape& s = tape.layers[static_cast<size_t>(i)];
    const LayerWeights& l = network.weights.layers[static_cast<size_t>(i)];
    const LayerWeights& across = trained.transposed.layers[static_cast<size_t>(i)];
    LayerParameters& d = gradients->layers[static_cast<size_t>(i)];
    if (tape.recompute) recompute_layer(network, batch, i, tape, arena);

    // output = middle + gate(norm(middle) Wi^T) Wo^T
    g.gate(s.up, c.activation, gated);                             // (T, I)
    linear.weight(dx, gated, NormWeight(), d.mlp_out);             // [H, I]
    linear.input(dx, across.mlp_out, Epilogue::store, d_gated);    // (T, I)
    g.gate_backward(s.up, c.activation, d_gated, d_up);            // (T, 2I)
    linear.weight(d_up, s.middle, l.mlp_norm, d.mlp_in);           // [2I, H]
    linear.input(d_up, across.mlp_in, Epilogue::store, d_branch);  // (T, H)
    g.layer_norm_backward(s.middle, l.mlp_norm, d_branch, Epilogue::add, dx, d.mlp_norm.weight,
                          d.mlp_norm.bias);  // dx += (T, H)

    // middle = input + dropout(attention(rope(norm(input) Wqkv^T)) Wo^T)
    const bool dropped = tape.attention_out_dropout > 0;
    if (dropped) g.dropout(dx, tape.dropout(i), Epilogue::store, d_branch);  // (T, H)
    const View d_out = dropped ? d_branch : dx;
    linear.weight(d_out, s.seen, NormWeight(), d.attn_out);         // [H, H]
    linear.input(d_out, across.attn_out, Epilogue::store, d_seen);  // (T, H)
    g.attention_backward(s.qkv, batch.starts, c.attention(i), A, s.seen, s.log_sums, d_seen,
                         d_qkv);  // (T, 3H)
    g.rope_backward(d_qkv, batch.positions,
                    c.layer_is_global[static_cast<size_t>(i)] ? tables.global : tables.local, A);
    linear.weight(d_qkv, s.input, l.attn_norm, d.qkv);  // [3H, H]
    if (has_attn_norm(i)) {
      linear.input(d_qkv, across.qkv, Epilogue::store, d_branch);  // (T, H)
      g.layer_norm_backward(s.input, l.attn_norm, d_branch, Epilogue::add, dx, d.attn_norm.weight,
                            d.attn_norm.bias);  // dx += (T, H)
    } else {
      linear.input(d_qkv, across.qkv, Epilogue::add, dx);  // dx += (T, H)
    }
  }
  Parameter& d_norm = gradients->embedding_norm;
  g.layer_norm_backward(tape.embedded, network.weights.embedding_norm, dx, Epilogue::store,
                        d_branch, d_norm.weight, d_norm.bias);  // (T, H)
  if (tape.pad_row_quirk) {  // PyTorch's padding_idx 0: no gradient from looking row 0 up
    for (int64_t t = 0; t < T; ++t) {
      if (batch.token_ids[static_cast<size_t>(t)] == 0) zero(d_branch.slice_rows(t, 1));
    }
  }
  g.embed_backward(d_branch, batch.token_ids, gradients->token_embedding.weight);  // [V, H]
}

namespace {

// y = norm(activation(x W^T)) W'^T, loss and backward: what both heads share. `call` has W' and
// what is asked for; d_projection takes the gradient of W'.
void head_loss(const TrainedNetwork& trained, ConstView x, CrossEntropy call, Arena& arena, View dx,
               Parameter* d_projection, Parameters* gradients) {
  const Network& network = trained.network;
  const Weights& w = network.weights;
  const Backend& b = *network.backend;
  const Gradients& g = trained.ops();
  const Activation activation = network.config.classifier_activation;
  const int64_t M = x.rows, H = x.cols;

  const View z = b.allocate(arena, M, H), a = b.allocate(arena, M, H);
  const View y = b.allocate(arena, M, H);
  b.linear(x, w.head_dense, Epilogue::store, Activation::identity, z);  // (M, H)
  g.activate(z, activation, a);                                         // (M, H)
  b.layer_norm(a, w.head_norm, y);                                      // (M, H)
  call.x = y;
  if (gradients == nullptr) {
    g.cross_entropy(call);
    return;
  }
  const View dy = b.allocate(arena, M, H);
  const LinearBackward linear{b, g};
  call.dx = dy;
  call.d_weight = d_projection->weight;
  call.d_bias = d_projection->bias;
  g.cross_entropy(call);  // (M, H)
  Parameter& d_norm = gradients->head_norm;
  g.layer_norm_backward(a, w.head_norm, dy, Epilogue::store, dy, d_norm.weight, d_norm.bias);
  g.activate_backward(z, activation, dy, dy);                            // (M, H)
  linear.weight(dy, x, NormWeight(), gradients->head_dense);             // [H, H]
  linear.input(dy, trained.transposed.head_dense, Epilogue::store, dx);  // (M, H)
}

}  // namespace

void language_model_loss(const TrainedNetwork& trained, ConstView hidden, const Targets& targets,
                         double scale, Arena& arena, std::span<double> losses,
                         std::span<uint8_t> best, View d_hidden, Parameters* gradients) {
  ETTIN_CHECK(trained.network.config.head == Head::language_model);
  ETTIN_CHECK(targets.rows.size() == targets.ids.size() && losses.size() == targets.ids.size());
  const auto M = static_cast<int64_t>(targets.rows.size());
  if (gradients != nullptr) zero(d_hidden);
  if (M == 0) return;
  const Backend& b = *trained.network.backend;
  const View x = b.allocate(arena, M, hidden.cols);
  const View dx = gradients != nullptr ? b.allocate(arena, M, hidden.cols) : View();
  b.gather_rows(hidden, targets.rows, x);  // (M, H)
  head_loss(trained, x,
            {.weight = trained.network.weights.vocab_projection,
             .transposed = trained.transposed.vocab_projection,
             .targets = targets.ids,
             .scale = scale,
             .losses = losses,
             .best = best},
            arena, dx, gradients != nullptr ? &gradients->vocab_projection : nullptr, gradients);
  if (gradients != nullptr) trained.ops().gather_rows_backward(dx, targets.rows, d_hidden);
}

void classification_loss(const TrainedNetwork& trained, ConstView hidden,
                         std::span<const int64_t> starts, std::span<const int32_t> labels,
                         double scale, Arena& arena, std::span<double> losses, View d_hidden,
                         Parameters* gradients) {
  const ModelConfig& c = trained.network.config;
  ETTIN_CHECK(c.head == Head::sequence_classification);
  const Backend& b = *trained.network.backend;
  const auto N = static_cast<int64_t>(labels.size());
  const Pooling pooling = sequence_pooling(c);
  const View x = b.allocate(arena, N, hidden.cols);
  const View dx = gradients != nullptr ? b.allocate(arena, N, hidden.cols) : View();
  b.pool(hidden, starts, pooling, x);  // (N, H)
  head_loss(trained, x,
            {.weight = trained.network.weights.classifier,
             .transposed = trained.transposed.classifier,
             .targets = labels,
             .scale = scale,
             .losses = losses},
            arena, dx, gradients != nullptr ? &gradients->classifier : nullptr, gradients);
  if (gradients != nullptr) trained.ops().pool_backward(dx, starts, pooling, d_hidden);
}

}  // namespace ettin
