#include "formats/onnx/graph.h"

#include <cstring>

#include <fmt/format.h>

namespace ettin::onnx {
namespace {

Status bad(const OnnxFile& file, std::string why, std::string hint = {}) {
  return Status(StatusCode::bad_data, fmt::format("{}: {}", file.path, why), std::move(hint));
}

// The tensor of a Constant node, made of its numbers where it has no tensor.
std::shared_ptr<const Tensor> constant_tensor(const Node& node) {
  const Attribute* value = node.find("value");
  if (value != nullptr && value->t != nullptr) return value->t;
  struct Owned : Tensor {
    std::vector<std::byte> bytes;
  };
  auto t = std::make_shared<Owned>();
  const auto fill = [&](Type type, const void* from, size_t count, size_t size, bool scalar) {
    t->type = type;
    if (!scalar) t->dims = {static_cast<int64_t>(count)};
    const auto* first = static_cast<const std::byte*>(from);
    t->bytes.assign(first, first + count * size);
    t->data = t->bytes;
  };
  for (const Attribute& a : node.attributes) {
    if (a.name == "value_int") fill(Type::i64, &a.i, 1, 8, true);
    if (a.name == "value_float") fill(Type::f32, &a.f, 1, 4, true);
    if (a.name == "value_ints") fill(Type::i64, a.ints.data(), a.ints.size(), 8, false);
    if (a.name == "value_floats") fill(Type::f32, a.floats.data(), a.floats.size(), 4, false);
  }
  return t->bytes.empty() ? nullptr : t;
}

}  // namespace

Result<Graph> Graph::build(const OnnxFile& file) {
  Graph graph;
  graph.file_ = &file;
  for (const Tensor& t : file.initializers) {
    if (!graph.tensors_.emplace(t.name, &t).second) {
      return bad(file, fmt::format("tensor \"{:.80}\" is there twice", t.name));
    }
  }
  for (const GraphInput& input : file.inputs) {
    if (!graph.tensors_.contains(input.name)) graph.inputs_.insert(input.name);
  }
  for (size_t i = 0; i < file.nodes.size(); ++i) {
    const Node& node = file.nodes[i];
    const auto described = [&] {
      return fmt::format("node \"{:.80}\" ({:.60})", node.name, node.full_op());
    };
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const std::string_view name = node.inputs[k];
      if (name.empty()) continue;
      if (!graph.producers_.contains(name) && !graph.tensors_.contains(name) &&
          !graph.inputs_.contains(name)) {
        return bad(
            file,
            fmt::format("{} reads \"{:.80}\", which nothing before it makes", described(), name),
            "the nodes are out of order, form a cycle, or the file is incomplete");
      }
      graph.uses_[name].push_back({i, k});
    }
    for (const std::string_view name : node.outputs) {
      if (name.empty()) continue;
      if (graph.tensors_.contains(name) || graph.inputs_.contains(name) ||
          !graph.producers_.emplace(name, i).second) {
        return bad(file,
                   fmt::format("{} makes \"{:.80}\", which is there already", described(), name));
      }
    }
    if (node.op == "Constant" && node.domain.empty() && node.outputs.size() == 1) {
      if (auto made = constant_tensor(node)) {
        graph.tensors_.emplace(node.outputs[0], made.get());
        graph.made_.push_back(std::move(made));
      }
    }
  }
  return graph;
}

const Node* Graph::producer(std::string_view value) const {
  const auto found = producers_.find(value);
  return found == producers_.end() ? nullptr : &file_->nodes[found->second];
}

std::span<const Use> Graph::uses(std::string_view value) const {
  const auto found = uses_.find(value);
  return found == uses_.end() ? std::span<const Use>() : found->second;
}

const Tensor* Graph::tensor(std::string_view value) const {
  const auto found = tensors_.find(value);
  return found == tensors_.end() ? nullptr : found->second;
}

}  // namespace ettin::onnx
