// What a graph does with the result of a product: which of query, key and value it is, whether the
// activation is applied to it, what masks and rotates the attention of a layer.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "formats/onnx/sites.h"

namespace ettin::onnx {

enum class Part : uint8_t { query, key, value };

// Of a query, key or value projection's output: the way that it goes to the attention.
std::optional<Part> find_part(const Graph& graph, Constants* constants, std::string_view output);

// "gelu", "gelu_tanh", "relu" or "silu" when the value is the activation's argument.
std::optional<std::string_view> find_activation(const Graph& graph, Constants* constants,
                                                std::string_view value);

// The parts that an output is cut into along its last dimension, in order; none when it is not cut.
std::vector<std::string_view> find_halves(const Graph& graph, Constants* constants,
                                          std::string_view output, int64_t width);

// How one layer attends. What the graph does not show is left out.
struct AttentionFacts {
  bool masked = false;  // a mask was found
  bool causal = false;  // and it hides later positions
  bool local = false;
  std::optional<int64_t> window_left;  // of a local layer: keys before the query that it sees
  std::optional<double> rope_theta;
  std::optional<int64_t> head_dim, heads;
};

// `outputs`: of the layer's query, key and value projections, or of the one that holds them all.
AttentionFacts find_attention(const Graph& graph, Constants* constants, const Sites& sites,
                              std::span<const std::string_view> outputs);

}  // namespace ettin::onnx
