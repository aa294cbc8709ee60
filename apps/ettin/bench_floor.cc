#include "bench_floor.h"

#include <algorithm>

namespace ettin::cli {
namespace {

double number(int64_t value) { return static_cast<double>(value); }

bool unlimited(const AttentionSpec& spec) { return spec.left == AttentionSpec::kUnlimited; }

// Keys that a window lets a query see, its own included.
int64_t window_keys(const AttentionSpec& spec) { return spec.left + spec.right + 1; }

double matrix_flop(const ModelConfig& c) {
  const double h = number(c.hidden_size), i = number(c.intermediate_size);
  return 2 * number(c.num_layers) * (4 * h * h + 3 * h * i);
}

double head_flop(const ModelConfig& c) {
  const double h = number(c.hidden_size);
  return 2 * h * h + 2 * h * number(c.vocab_size);
}

double attention_flop(const ModelConfig& c, int64_t length) {
  double pairs = 0;
  for (int64_t layer = 0; layer < c.num_layers; ++layer) {
    const AttentionSpec spec = c.attention(layer);
    if (!unlimited(spec)) {
      pairs += number(length) * number(std::min(length, window_keys(spec)));
    } else {
      pairs += number(length) * number(length) * (spec.right == 0 ? 0.5 : 1.0);
    }
  }
  return 4 * number(c.hidden_size) * pairs;
}

// Keys of all layers that one token behind `context` others sees.
double visible_keys(const ModelConfig& c, int64_t context) {
  double keys = 0;
  for (int64_t layer = 0; layer < c.num_layers; ++layer) {
    const AttentionSpec spec = c.attention(layer);
    keys += number(unlimited(spec) ? context + 1 : std::min(context + 1, window_keys(spec)));
  }
  return keys;
}

double bytes_of(const LinearWeight& w) {
  return number(w.out_features) * number(w.in_features) * bits_per_weight(w.format) / 8;
}

}  // namespace

double forward_flop(const ModelConfig& config, std::span<const int64_t> lengths,
                    int64_t head_rows) {
  double flop = head_rows > 0 ? number(head_rows) * head_flop(config) : 0;
  for (const int64_t length : lengths) {
    flop += number(length) * matrix_flop(config) + attention_flop(config, length);
  }
  return flop;
}

double decode_flop(const ModelConfig& config, int64_t context) {
  return matrix_flop(config) + head_flop(config) +
         4 * number(config.hidden_size) * visible_keys(config, context);
}

double cache_bytes(const ModelConfig& config, int64_t context, int64_t bytes_per_element) {
  return 2 * number(config.hidden_size * bytes_per_element) * visible_keys(config, context);
}

WeightBytes weight_bytes(const ModelConfig& config, const Weights& weights) {
  WeightBytes bytes;
  for (const LayerWeights& layer : weights.layers) {
    bytes.layers += bytes_of(layer.qkv) + bytes_of(layer.attn_out) + bytes_of(layer.mlp_in) +
                    bytes_of(layer.mlp_out);
  }
  bytes.head = bytes_of(weights.head_dense) + bytes_of(weights.vocab_projection) +
               bytes_of(weights.classifier);
  bytes.all = bytes.layers + bytes.head + bytes_of(weights.token_embedding);
  if (config.tie_word_embeddings) bytes.all -= bytes_of(weights.vocab_projection);
  return bytes;
}

std::string_view multiply_metric(WeightFormat format, bool exact_activations) {
  if (exact_activations) return "fp32";
  switch (format) {
    case WeightFormat::bf16:
      return "bf16";
    case WeightFormat::q8:
    case WeightFormat::q4:
      return "int8";
    default:
      return "fp32";
  }
}

Floor floor_of(double flop, double bytes, double rate, double bandwidth) {
  if (rate <= 0 || bandwidth <= 0) return {};
  const double compute = flop / rate / 1e6, memory = bytes / bandwidth / 1e6;
  return {std::max(compute, memory), memory > compute};
}

}  // namespace ettin::cli
