#include "model/heads.h"

#include "base/check.h"

namespace ettin {
namespace {

View project(const Network& network, ConstView x, const LinearWeight& weight, Arena& arena) {
  const View logits = network.backend->allocate(arena, x.rows, weight.out_features);
  network.backend->linear(x, weight, Epilogue::store, Activation::identity, logits);
  return logits;
}

}  // namespace

View prediction_head(const Network& network, ConstView x, Arena& arena) {
  const Backend& b = *network.backend;
  const View out = b.allocate(arena, x.rows, x.cols);
  b.linear(x, network.weights.head_dense, Epilogue::store, network.config.classifier_activation,
           out);                                      // (M, H)
  b.layer_norm(out, network.weights.head_norm, out);  // (M, H)
  return out;
}

View vocab_logits(const Network& network, ConstView hidden, std::span<const int64_t> rows,
                  Arena& arena) {
  ETTIN_CHECK(network.config.head == Head::language_model);
  const View wanted =
      network.backend->allocate(arena, static_cast<int64_t>(rows.size()), hidden.cols);
  network.backend->gather_rows(hidden, rows, wanted);                           // (M, H)
  const View predicted = prediction_head(network, wanted, arena);               // (M, H)
  return project(network, predicted, network.weights.vocab_projection, arena);  // (M, V)
}

View sequence_logits(const Network& network, ConstView hidden, std::span<const int64_t> starts,
                     Arena& arena) {
  ETTIN_CHECK(network.config.head == Head::sequence_classification);
  const Pooling pooling = network.config.arm.direction == Direction::causal
                              ? Pooling::last
                              : network.config.classifier_pooling;
  const auto sequences = static_cast<int64_t>(starts.size()) - 1;
  const View pooled = network.backend->allocate(arena, sequences, hidden.cols);
  network.backend->pool(hidden, starts, pooling, pooled);                 // (N, H)
  const View predicted = prediction_head(network, pooled, arena);         // (N, H)
  return project(network, predicted, network.weights.classifier, arena);  // (N, labels)
}

View token_logits(const Network& network, ConstView hidden, Arena& arena) {
  ETTIN_CHECK(network.config.head == Head::token_classification);
  const View predicted = prediction_head(network, hidden, arena);         // (T, H)
  return project(network, predicted, network.weights.classifier, arena);  // (T, labels)
}

}  // namespace ettin
