#include "model/heads.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "tensor/quantize.h"

namespace ettin {
namespace {

View project(const Network& network, ConstView x, const LinearWeight& weight, Arena& arena) {
  const View logits = network.backend->allocate(arena, x.rows, weight.out_features);
  network.backend->linear(x, weight, Epilogue::store, Activation::identity, logits);
  return logits;
}

bool has_one_scale(const LinearWeight& w) {
  return w.one_scale && w.format == WeightFormat::int8 && !w.exact_activations;
}

// The rows that hold the smallest and the largest value: with them any selection of rows has the
// range of all.
std::vector<int64_t> with_extremes(const Network& network, ConstView x,
                                   std::span<const int64_t> rows) {
  std::vector<float> row(static_cast<size_t>(x.cols));
  float lo = 0, hi = 0;
  int64_t lowest = 0, highest = 0;
  for (int64_t t = 0; t < x.rows; ++t) {
    network.backend->copy_to_host(x.slice_rows(t, 1), std::span(row));
    const auto [least, most] = range_with_zero(row);
    if (least < lo) lowest = t;
    if (most > hi) highest = t;
    lo = std::min(lo, least);
    hi = std::max(hi, most);
  }
  std::vector<int64_t> all(rows.begin(), rows.end());
  all.insert(all.end(), {lowest, highest});
  return all;
}

// int8 with one scale for all rows: the scale is that of all rows, also where few are wanted.
View all_rows_logits(const Network& network, ConstView hidden, std::span<const int64_t> rows,
                     Arena& arena) {
  const View predicted = prediction_head(network, hidden, arena);  // (T, H)
  const std::vector<int64_t> taken = with_extremes(network, predicted, rows);
  const View some =
      network.backend->allocate(arena, static_cast<int64_t>(taken.size()), hidden.cols);
  network.backend->gather_rows(predicted, taken, some);  // (M + 2, H)
  return project(network, some, network.weights.vocab_projection, arena)
      .slice_rows(0, static_cast<int64_t>(rows.size()));  // (M, V)
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
  if (has_one_scale(network.weights.head_dense) ||
      has_one_scale(network.weights.vocab_projection)) {
    return all_rows_logits(network, hidden, rows, arena);
  }
  const View wanted =
      network.backend->allocate(arena, static_cast<int64_t>(rows.size()), hidden.cols);
  network.backend->gather_rows(hidden, rows, wanted);                           // (M, H)
  const View predicted = prediction_head(network, wanted, arena);               // (M, H)
  return project(network, predicted, network.weights.vocab_projection, arena);  // (M, V)
}

Pooling sequence_pooling(const ModelConfig& config) {
  return config.arm.direction == Direction::causal ? Pooling::last : config.classifier_pooling;
}

View sequence_logits(const Network& network, ConstView hidden, std::span<const int64_t> starts,
                     Arena& arena) {
  ETTIN_CHECK(network.config.head == Head::sequence_classification);
  const Pooling pooling = sequence_pooling(network.config);
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
