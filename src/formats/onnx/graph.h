// Who makes and who reads each value of an ONNX graph, and which values come from the embedding.
#pragma once

#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "formats/onnx/onnx_file.h"

namespace ettin::onnx {

struct Use {
  size_t node;
  size_t input;
};

class Graph {
 public:
  // An error when a node reads what no earlier node, input or initialiser gives (the order would
  // not be topological, or there is a cycle), and when a value is made twice. `file` must outlive
  // the graph.
  static Result<Graph> build(const OnnxFile& file);

  const OnnxFile& file() const { return *file_; }
  std::span<const Node> nodes() const { return file_->nodes; }
  const Node& node(size_t i) const { return file_->nodes[i]; }

  // nullptr for an input, an initialiser and an absent value ("").
  const Node* producer(std::string_view value) const;
  std::span<const Use> uses(std::string_view value) const;
  // An initialiser or the value of a Constant node; nullptr for any other.
  const Tensor* tensor(std::string_view value) const;
  // What tensors of Constant nodes lie in.
  const std::vector<std::shared_ptr<const Tensor>>& owners() const { return made_; }
  bool is_input(std::string_view value) const { return inputs_.contains(value); }

 private:
  const OnnxFile* file_ = nullptr;
  std::unordered_map<std::string_view, size_t> producers_;
  std::unordered_map<std::string_view, std::vector<Use>> uses_;
  std::unordered_map<std::string_view, const Tensor*> tensors_;
  std::unordered_set<std::string_view> inputs_;
  std::vector<std::shared_ptr<const Tensor>> made_;  // of Constant nodes with numbers
};

}  // namespace ettin::onnx
