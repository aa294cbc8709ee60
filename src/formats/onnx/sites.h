// Where a graph uses weights: the embedding, every product with a constant matrix, every norm; in
// the order of the nodes. Found by operator and data flow; names play no part.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "formats/onnx/constant.h"

namespace ettin::onnx {

// y = x W^T + bias.
struct LinearSite {
  std::string_view source;  // x, before it is quantised or cast
  std::string_view output;  // y, with its bias
  AffineMatrix weight;      // W [out, in]
  std::optional<Constant> bias;
  std::string_view origin;  // the initialiser that holds W, for messages
  std::string_view node;    // its name, for cross-checks
};

struct NormSite {
  std::string_view output;
  Constant gain;
  std::optional<Constant> bias;
  float eps = 0;
  std::string_view origin;
};

struct EmbeddingSite {
  std::string_view output;
  AffineMatrix table;  // [vocabulary, hidden]
  std::string_view origin;
};

struct Sites {
  EmbeddingSite embedding;
  std::vector<LinearSite> linears;
  std::vector<NormSite> norms;
  std::unordered_set<std::string_view> used;            // initialisers that the sites read
  std::unordered_set<std::string_view> from_embedding;  // values that depend on the embedding
};

// An error names the node or the tensor that no rule knows.
Result<Sites> find_sites(const Graph& graph, Constants* constants);

// The value without the Cast, Identity and quantisation that it went through.
std::string_view strip(const Graph& graph, std::string_view value);

}  // namespace ettin::onnx
