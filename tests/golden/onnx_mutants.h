// ONNX files written anew in other words: the same computation under other names, in another order,
// with weights the other way round.
#pragma once

#include <bit>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "formats/onnx/onnx_file.h"
#include "formats/test_wire.h"

namespace ettin::test {

struct MutantOptions {
  bool rename = false;          // every value and node that is no input or output of the graph
  bool reorder = false;         // nodes in another topological order, initialisers shuffled
  bool transpose = false;       // constant right factors of MatMul behind a Transpose
  bool zero_biases = false;     // explicit zero betas of LayerNormalization
  bool typed = false;           // fp32 in float_data, not in raw_data
  bool constant_nodes = false;  // small initialisers become Constant nodes
};

class OnnxMutant {
 public:
  OnnxMutant(const onnx::OnnxFile& file, const MutantOptions& options, uint64_t seed)
      : file_(file), options_(options), random_(seed) {}

  std::string write() {
    for (const onnx::GraphInput& input : file_.inputs) kept_.insert(std::string(input.name));
    for (const std::string_view output : file_.outputs) kept_.insert(std::string(output));
    for (const onnx::Tensor& t : file_.initializers) tensors_.push_back(&t);
    for (const onnx::Node& n : file_.nodes) nodes_.push_back(n);
    if (options_.transpose) transpose();
    if (options_.zero_biases) add_zero_biases();
    if (options_.reorder) reorder();
    WireWriter graph;
    std::vector<std::string> constants;
    for (const onnx::Tensor* t : tensors_) {
      if (options_.constant_nodes && t->element_count() < 16) {
        WireWriter attribute, node;
        attribute.bytes(1, "value");
        attribute.bytes(5, tensor(*t, t->dims, t->data));
        node.bytes(2, name(t->name));
        node.bytes(4, "Constant");
        node.bytes(5, attribute.text());
        constants.push_back(node.text());
      } else {
        graph.bytes(5, tensor(*t, t->dims, t->data));
      }
    }
    for (const auto& [t, turned] : made_) graph.bytes(5, made_tensor(t, turned));
    for (const std::string& node : constants) graph.bytes(1, node);
    for (const onnx::Node& n : nodes_) graph.bytes(1, node(n));
    for (const onnx::GraphInput& input : file_.inputs) graph.bytes(11, value_info(input.name));
    for (const std::string_view output : file_.outputs) graph.bytes(12, value_info(output));
    WireWriter model;
    model.varint(1, 8);
    model.bytes(7, graph.text());
    for (const std::string_view domain : file_.domains) {
      WireWriter opset;
      opset.bytes(1, domain);
      opset.varint(2, static_cast<uint64_t>(domain.empty() ? file_.opset : 1));
      model.bytes(8, opset.text());
    }
    return model.text();
  }

 private:
  std::string name(std::string_view old) {
    if (!options_.rename || old.empty() || kept_.contains(std::string(old)))
      return std::string(old);
    auto& fresh = names_[std::string(old)];
    if (fresh.empty()) {
      fresh = "x";
      for (int i = 0; i < 12; ++i) fresh.push_back(static_cast<char>('a' + random_() % 26));
    }
    return fresh;
  }

  std::string value_info(std::string_view value) {
    WireWriter w;
    w.bytes(1, value);
    return w.text();
  }

  std::string tensor(const onnx::Tensor& t, const std::vector<int64_t>& dims, onnx::Bytes data) {
    WireWriter w;
    for (const int64_t d : dims) w.varint(1, static_cast<uint64_t>(d));
    w.varint(2, static_cast<uint64_t>(t.type));
    w.bytes(8, name(t.name));
    const bool floats = options_.typed && t.type == onnx::Type::f32;
    w.bytes(floats ? 4 : 9, {reinterpret_cast<const char*>(data.data()), data.size()});
    return w.text();
  }

  // The transposed elements of a tensor of two dimensions, or zeros of its shape.
  std::string made_tensor(const std::string& name_of_it, const std::vector<std::byte>& elements) {
    const onnx::Tensor& like = *likes_.at(name_of_it);
    WireWriter w;
    if (like.dims.size() == 2) {
      w.varint(1, static_cast<uint64_t>(like.dims[1]));
      w.varint(1, static_cast<uint64_t>(like.dims[0]));
    } else {
      for (const int64_t d : like.dims) w.varint(1, static_cast<uint64_t>(d));
    }
    w.varint(2, static_cast<uint64_t>(like.type));
    w.bytes(8, name(name_of_it));
    w.bytes(9, {reinterpret_cast<const char*>(elements.data()), elements.size()});
    return w.text();
  }

  std::string node(const onnx::Node& n) {
    WireWriter w;
    for (const std::string_view input : n.inputs) w.bytes(1, name(input));
    for (const std::string_view output : n.outputs) w.bytes(2, name(output));
    w.bytes(3, options_.rename ? std::string() : std::string(n.name));
    w.bytes(4, n.op);
    for (const onnx::Attribute& a : n.attributes) {
      WireWriter attribute;
      attribute.bytes(1, a.name);
      attribute.fixed32(2, std::bit_cast<uint32_t>(a.f));
      attribute.varint(3, static_cast<uint64_t>(a.i));
      attribute.bytes(4, a.s);
      if (a.t) attribute.bytes(5, tensor(*a.t, a.t->dims, a.t->data));
      for (const float f : a.floats) attribute.fixed32(7, std::bit_cast<uint32_t>(f));
      for (const int64_t i : a.ints) attribute.varint(8, static_cast<uint64_t>(i));
      w.bytes(5, attribute.text());
    }
    w.bytes(7, n.domain);
    return w.text();
  }

  const onnx::Tensor* find(std::string_view value) const {
    for (const onnx::Tensor* t : tensors_) {
      if (t->name == value) return t;
    }
    return nullptr;
  }

  std::string_view keep(std::string text) { return *strings_.insert(std::move(text)).first; }

  void transpose() {
    std::vector<onnx::Node> all;
    for (onnx::Node n : nodes_) {
      const onnx::Tensor* t = n.op == "MatMul" ? find(n.inputs[1]) : nullptr;
      if (t != nullptr && t->dims.size() == 2 && onnx::type_bits(t->type) >= 8) {
        const auto size = static_cast<size_t>(onnx::type_bits(t->type) / 8);
        const auto rows = static_cast<size_t>(t->dims[0]),
                   columns = static_cast<size_t>(t->dims[1]);
        std::vector<std::byte> turned(t->data.size());
        for (size_t r = 0; r < rows; ++r) {
          for (size_t c = 0; c < columns; ++c) {
            std::memcpy(&turned[(c * rows + r) * size], &t->data[(r * columns + c) * size], size);
          }
        }
        const std::string turned_name = std::string(t->name) + "_turned";
        const std::string_view back = keep(std::string(t->name) + "_back");
        if (!made_.contains(turned_name)) {
          likes_[turned_name] = t;
          made_[turned_name] = std::move(turned);
          onnx::Node transpose;
          transpose.op = "Transpose";
          transpose.inputs = {keep(turned_name)};
          transpose.outputs = {back};
          all.push_back(transpose);
        }
        replaced_.insert(std::string(t->name));
        n.inputs[1] = back;
      }
      all.push_back(std::move(n));
    }
    nodes_ = std::move(all);
    std::set<std::string> read;
    for (const onnx::Node& n : nodes_) {
      for (const std::string_view input : n.inputs) read.insert(std::string(input));
    }
    std::erase_if(tensors_, [&](const onnx::Tensor* t) {
      return replaced_.contains(std::string(t->name)) && !read.contains(std::string(t->name));
    });
  }

  void add_zero_biases() {
    for (onnx::Node& n : nodes_) {
      if (n.op != "LayerNormalization" || n.inputs.size() != 2) continue;
      const onnx::Tensor* gain = find(n.inputs[1]);
      if (gain == nullptr) continue;
      const std::string zero = std::string(gain->name) + "_zero";
      likes_[zero] = gain;
      made_[zero] = std::vector<std::byte>(gain->data.size());
      n.inputs.push_back(keep(zero));
    }
  }

  // Whatever is ready may come next.
  void reorder() {
    std::shuffle(tensors_.begin(), tensors_.end(), random_);
    std::set<std::string_view> produced;
    for (const onnx::Node& n : nodes_) produced.insert(n.outputs.begin(), n.outputs.end());
    produced.erase("");
    std::set<std::string_view> there;
    std::vector<onnx::Node> left = std::move(nodes_), all;
    while (!left.empty()) {
      std::vector<size_t> ready;
      for (size_t i = 0; i < left.size(); ++i) {
        const auto& inputs = left[i].inputs;
        if (std::all_of(inputs.begin(), inputs.end(), [&](std::string_view v) {
              return !produced.contains(v) || there.contains(v);
            })) {
          ready.push_back(i);
        }
      }
      const size_t chosen = ready[random_() % ready.size()];
      there.insert(left[chosen].outputs.begin(), left[chosen].outputs.end());
      all.push_back(left[chosen]);
      left.erase(left.begin() + static_cast<long>(chosen));
    }
    nodes_ = std::move(all);
  }

  const onnx::OnnxFile& file_;
  MutantOptions options_;
  std::mt19937_64 random_;
  std::vector<onnx::Node> nodes_;
  std::vector<const onnx::Tensor*> tensors_;
  std::map<std::string, std::vector<std::byte>> made_;  // new initialisers
  std::map<std::string, const onnx::Tensor*> likes_;    // what they have the type and shape of
  std::set<std::string> kept_, replaced_;
  std::set<std::string, std::less<>> strings_;
  std::map<std::string, std::string> names_;
};

}  // namespace ettin::test
