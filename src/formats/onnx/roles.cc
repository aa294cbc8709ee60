#include "formats/onnx/roles.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace ettin::onnx {
namespace {

using Names = std::initializer_list<std::string_view>;

bool is_one_of(std::string_view op, Names names) {
  return std::find(names.begin(), names.end(), op) != names.end();
}

bool is_attention(const Node& node) {
  return is_one_of(node.op, {"MultiHeadAttention", "GroupQueryAttention", "Attention"});
}

// Walks forward from `start`, breadth first. visit(node, input) says whether to go on through it.
template <class Visit>
void walk_forward(const Graph& graph, std::string_view start, Visit visit) {
  std::vector<std::string_view> queue = {start};
  std::set<std::string_view> seen = {start};
  for (size_t i = 0; i < queue.size(); ++i) {
    for (const Use& use : graph.uses(queue[i])) {
      const Node& node = graph.node(use.node);
      if (!visit(node, use.input)) continue;
      for (const std::string_view output : node.outputs) {
        if (!output.empty() && seen.insert(output).second) queue.push_back(output);
      }
    }
  }
}

// Walks backward over what makes `start`; visit(node) says whether to go on to its inputs.
template <class Visit>
void walk_backward(const Graph& graph, std::string_view start, Visit visit) {
  std::vector<std::string_view> queue = {start};
  std::set<const Node*> seen;
  for (size_t i = 0; i < queue.size(); ++i) {
    const Node* node = graph.producer(queue[i]);
    if (node == nullptr || !seen.insert(node).second || !visit(*node)) continue;
    for (const std::string_view input : node->inputs) {
      if (!input.empty()) queue.push_back(input);
    }
  }
}

bool comes_from_softmax(const Graph& graph, std::string_view value) {
  for (int steps = 0; steps < 8; ++steps) {
    const Node* node = graph.producer(value);
    if (node == nullptr) return false;
    if (node->op == "Softmax") return true;
    if (node->op == "Where" && node->inputs.size() == 3) {
      value = node->inputs[2];
    } else if (is_one_of(node->op, {"Cast", "Identity"}) && !node->inputs.empty()) {
      value = node->inputs[0];
    } else {
      return false;
    }
  }
  return false;
}

// What queries, keys and values go through before they are multiplied.
bool reshapes_heads(const Node& node) {
  return is_one_of(node.op, {"Reshape", "Transpose", "Mul", "Div", "Add", "Sub", "Neg", "Concat",
                             "Slice", "Split", "Gather", "Cast", "Unsqueeze", "Squeeze", "Expand",
                             "RotaryEmbedding", "Identity"});
}

// theta from a table's second frequency, theta^(-2 / head_dim).
double theta_of(double frequency, int64_t head_dim) {
  return std::pow(frequency, -static_cast<double>(head_dim) / 2);
}

class AttentionReader {
 public:
  AttentionReader(const Graph& graph, Constants* constants, const Sites& sites)
      : graph_(graph), constants_(*constants), sites_(sites) {}

  AttentionFacts read(std::span<const std::string_view> outputs) {
    for (const std::string_view output : outputs) {
      walk_forward(graph_, output, [&](const Node& node, size_t input) {
        if (is_attention(node)) {
          fused(node);
          return false;
        }
        if (node.op == "RotaryEmbedding") rotary(node);
        if (node.op == "Mul" && node.inputs.size() == 2) angles(node.inputs[1 - input]);
        if (node.op == "MatMul") {
          softmax(node);
          return false;
        }
        return reshapes_heads(node);
      });
    }
    return facts_;
  }

 private:
  bool flows(std::string_view value) const { return sites_.from_embedding.contains(value); }

  void fused(const Node& node) {
    if (const int64_t heads = node.integer("num_heads", 0); heads > 0) facts_.heads = heads;
    if (node.op == "GroupQueryAttention") {
      const int64_t window = node.integer("local_window_size", -1);
      if (window > 0) {
        facts_.local = true;
        facts_.window_left = window - 1;
      }
      table(node.input(7));
    } else {
      mask(node.input(node.op == "MultiHeadAttention" ? 5 : 3));
    }
  }

  // Inputs x, positions, cos, sin; in ai.onnx 23 x, cos, sin.
  void rotary(const Node& node) { table(node.input(node.domain.empty() ? 1 : 2)); }

  // cos [positions, head_dim / 2]; row 1 holds the cosines of the frequencies themselves.
  void table(std::string_view cosines) {
    const Constant* c = constants_.find(cosines);
    if (c == nullptr || c->rank() != 2 || c->extents[0] < 2 || c->extents[1] < 2) return;
    const int64_t half = c->extents[1];
    const auto values = constants_.floats(cosines, half + 2);
    if (!values || static_cast<int64_t>(values->size()) < half + 2) return;
    const double cosine = (*values)[static_cast<size_t>(half + 1)];
    facts_.head_dim = 2 * half;
    if (cosine > -1 && cosine < 1) facts_.rope_theta = theta_of(std::acos(cosine), 2 * half);
  }

  // The factor of a rotation: cos or sin of positions times constant frequencies.
  void angles(std::string_view factor) {
    if (flows(factor) || facts_.rope_theta) return;
    walk_backward(graph_, factor, [&](const Node& node) {
      if (is_one_of(node.op, {"MatMul", "Mul"}) && node.inputs.size() == 2) {
        for (const std::string_view input : node.inputs) {
          const Constant* c = constants_.find(input);
          if (c == nullptr || c->element_count() < 2) continue;
          const auto f = constants_.floats(input, 4096);
          if (!f || (*f)[0] != 1 || !((*f)[1] > 0 && (*f)[1] < 1)) continue;
          facts_.head_dim = 2 * static_cast<int64_t>(f->size());
          facts_.rope_theta = theta_of((*f)[1], 2 * static_cast<int64_t>(f->size()));
        }
      }
      return is_one_of(node.op, {"Cos", "Sin", "Cast", "Unsqueeze", "Concat", "Transpose", "Mul",
                                 "MatMul", "Reshape", "Identity", "Expand"});
    });
  }

  // From the product of queries and keys to the softmax: what is added to the scores, or chosen by.
  void softmax(const Node& product) {
    if (product.outputs.empty()) return;
    walk_forward(graph_, product.outputs[0], [&](const Node& node, size_t input) {
      if (node.op == "Softmax") return false;
      if (node.op == "Add" && node.inputs.size() == 2 && !flows(node.inputs[1 - input])) {
        mask(node.inputs[1 - input]);
      }
      if (node.op == "Where" && node.inputs.size() == 3 && input != 0) mask(node.inputs[0]);
      return is_one_of(node.op, {"Add", "Mul", "Div", "Cast", "Where", "Identity", "Max"});
    });
  }

  // A local layer's mask compares distances with a constant; a global one's does not.
  void mask(std::string_view value) {
    if (value.empty()) return;
    facts_.masked = true;
    walk_backward(graph_, value, [&](const Node& node) {
      if (flows(node.outputs[0])) return false;
      const bool less = is_one_of(node.op, {"Less", "LessOrEqual"});
      const bool greater = is_one_of(node.op, {"Greater", "GreaterOrEqual"});
      if ((less || greater) && node.inputs.size() == 2) {
        compare(node, less);
      }
      return true;
    });
  }

  // One comparison of a mask: distances with a limit, positions with shifted positions, or, of a
  // causal mask, positions with positions or their difference with 0.
  void compare(const Node& node, bool less) {
    const bool strict = is_one_of(node.op, {"Less", "Greater"});
    for (size_t i = 0; i < 2; ++i) {
      const auto limit = constants_.scalar(node.inputs[i]);
      if (!limit) continue;
      const Node* other = graph_.producer(strip(graph_, node.inputs[1 - i]));
      if (*limit == 0 && other != nullptr && other->op == "Sub") facts_.causal = true;
      // Visible when below the limit, or masked when above it.
      return window(*limit, less ? strict : !strict);
    }
    bool shifted = false;
    for (const std::string_view input : node.inputs) {
      const Node* sum = graph_.producer(strip(graph_, input));
      if (sum == nullptr || !is_one_of(sum->op, {"Add", "Sub"})) continue;
      for (const std::string_view term : sum->inputs) {
        const auto offset = constants_.scalar(term);
        if (!offset || std::fabs(*offset) < 2) continue;
        shifted = true;
        window(*offset, strict);
      }
    }
    if (!shifted) facts_.causal = true;
  }

  void window(double limit, bool strict) {
    limit = std::fabs(limit);
    if (limit < 2 || limit > 1e6) return;  // a comparison of masks or of positions
    facts_.local = true;
    facts_.window_left = static_cast<int64_t>(limit) - (strict ? 1 : 0);
  }

  const Graph& graph_;
  Constants& constants_;
  const Sites& sites_;
  AttentionFacts facts_;
};

}  // namespace

std::optional<Part> find_part(const Graph& graph, Constants* constants, std::string_view output) {
  std::optional<Part> found;
  walk_forward(graph, output, [&](const Node& node, size_t input) {
    if (found) return false;
    if (is_attention(node)) {
      if (input < 3) found = static_cast<Part>(input);
      return false;
    }
    if (is_one_of(node.op, {"MatMul", "FusedMatMul"}) && node.inputs.size() == 2 &&
        constants->find(node.inputs[1 - input]) == nullptr) {
      const bool weighs = comes_from_softmax(graph, node.inputs[1 - input]);
      found = weighs && input == 1 ? Part::value : input == 0 ? Part::query : Part::key;
      return false;
    }
    return reshapes_heads(node);
  });
  return found;
}

std::optional<std::string_view> find_activation(const Graph& graph, Constants* constants,
                                                std::string_view value) {
  // In the order of the nodes: whatever is made of the value and of constants alone.
  std::set<std::string_view> derived = {value};
  std::set<size_t> pending;
  const auto add_uses = [&](std::string_view v) {
    for (const Use& use : graph.uses(v)) pending.insert(use.node);
  };
  add_uses(value);
  std::optional<std::string_view> found;
  while (!pending.empty() && !found) {
    const Node& node = graph.node(*pending.begin());
    pending.erase(pending.begin());
    const bool own = std::all_of(node.inputs.begin(), node.inputs.end(), [&](std::string_view v) {
      return v.empty() || derived.contains(v) || constants->find(v) != nullptr;
    });
    if (!own) continue;
    if (node.op == "Gelu" || node.op == "BiasGelu") {
      const Attribute* approximate = node.find("approximate");
      found = approximate != nullptr && approximate->s == "tanh" ? "gelu_tanh" : "gelu";
    }
    if (node.op == "FastGelu" || node.op == "Tanh") found = "gelu_tanh";
    if (node.op == "Erf") found = "gelu";
    if (node.op == "Relu") found = "relu";
    if (node.op == "Sigmoid") found = "silu";
    if (!is_one_of(node.op, {"Cast", "Identity", "Reshape", "Pow", "Mul", "Div", "Add"})) continue;
    for (const std::string_view output : node.outputs) {
      if (derived.insert(output).second) add_uses(output);
    }
  }
  return found;
}

std::vector<std::string_view> find_halves(const Graph& graph, Constants* constants,
                                          std::string_view output, int64_t width) {
  std::vector<std::pair<int64_t, std::string_view>> cuts;
  walk_forward(graph, output, [&](const Node& node, size_t input) {
    if (node.op == "Split" && node.outputs.size() == 2 && input == 0) {
      cuts = {{0, node.outputs[0]}, {width / 2, node.outputs[1]}};
    } else if (node.op == "Slice" && input == 0 && !node.outputs.empty()) {
      const auto start = constants->integers(node.input(1));
      if (start && start->size() == 1) cuts.emplace_back((*start)[0], node.outputs[0]);
    }
    return is_one_of(node.op, {"Cast", "Identity"});
  });
  std::sort(cuts.begin(), cuts.end());
  if (cuts.size() != 2 || cuts[0].first != 0) return {};
  return {cuts[0].second, cuts[1].second};
}

AttentionFacts find_attention(const Graph& graph, Constants* constants, const Sites& sites,
                              std::span<const std::string_view> outputs) {
  return AttentionReader(graph, constants, sites).read(outputs);
}

}  // namespace ettin::onnx
