// Values of a graph that are known without running it: initialisers, and what Identity, Cast,
// Transpose, Reshape, Squeeze, Unsqueeze, Slice, Split and DequantizeLinear make of them. Nothing
// is copied: a constant is a view, with a stride for every dimension.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/onnx/graph.h"
#include "tensor/affine_matrix.h"

namespace ettin::onnx {

// One of the numbers that belong to blocks of a tensor's elements: scales or zeros.
struct BlockNumbers {
  Bytes bytes;  // none: absent
  Type type = Type::f32;
  std::vector<int64_t> strides;  // for each dimension of the tensor
};

struct Constant {
  Bytes bytes;
  Type type = Type::f32;
  int64_t first = 0;
  std::vector<int64_t> extents;
  std::vector<int64_t> strides;

  // Of a dequantised tensor: element i of dimension d belongs to block i / divisors[d].
  bool dequantized = false;
  BlockNumbers scales, zeros;
  std::vector<int64_t> divisors;

  std::vector<std::string_view> origins;  // initialisers that it is read from

  int64_t rank() const { return static_cast<int64_t>(extents.size()); }
  int64_t element_count() const;
  bool contiguous() const;
};

class Constants {
 public:
  explicit Constants(const Graph& graph) : graph_(graph) {}

  // nullptr when the value is not constant, or not by the operators above.
  const Constant* find(std::string_view value);

  // Small constants as numbers: shapes, axes, thresholds. Nothing for larger or absent ones.
  std::optional<std::vector<int64_t>> integers(std::string_view value);
  std::optional<std::vector<float>> floats(std::string_view value, int64_t most);
  // A constant of one element, of any numeric type.
  std::optional<double> scalar(std::string_view value);

 private:
  // As find, of what is at most one operator away from an initialiser: never recurses deeply.
  const Constant* shallow(std::string_view value);
  std::optional<Constant> evaluate(std::string_view value);
  std::optional<Constant> fold(const Node& node, std::string_view value);

  const Graph& graph_;
  std::unordered_map<std::string_view, std::optional<Constant>> known_;
};

std::optional<NumberKind> number_kind(Type type);

// A constant of two dimensions as a matrix, or its transpose. An error names what cannot be one.
Result<AffineMatrix> as_matrix(const Constant& constant, bool transposed);

}  // namespace ettin::onnx
