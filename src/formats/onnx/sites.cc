#include "formats/onnx/sites.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace ettin::onnx {
namespace {

// Operators that an Ettin graph may consist of; any other is refused by name.
constexpr std::string_view kKnown[] = {
    "Abs", "Add", "And", "ArgMax", "Attention", "Cast", "Clip", "Concat", "Constant",
    "ConstantOfShape", "Cos", "CumSum", "DequantizeLinear", "Div", "DynamicQuantizeLinear", "Equal",
    "Erf", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "Greater",
    "GreaterOrEqual", "Identity", "IsNaN", "LayerNormalization", "Less", "LessOrEqual", "MatMul",
    "MatMulInteger", "Max", "Min", "Mul", "Neg", "Not", "Or", "Pow", "QuantizeLinear", "Range",
    "ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "RotaryEmbedding",
    "ScatterND", "Shape", "Sigmoid", "Sin", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub",
    "Tanh", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where",
    // com.microsoft
    "BiasGelu", "DynamicQuantizeMatMul", "FastGelu", "FusedMatMul", "GatherBlockQuantized",
    "GroupQueryAttention", "MatMulIntegerToFloat", "MatMulNBits", "MultiHeadAttention", "QuickGelu",
    "SkipLayerNormalization"};

bool is_known(const Node& node) {
  if (!node.domain.empty() && node.domain != "com.microsoft") return false;
  return std::find(std::begin(kKnown), std::end(kKnown), node.op) != std::end(kKnown);
}

class Finder {
 public:
  Finder(const Graph& graph, Constants* constants) : graph_(graph), constants_(*constants) {}

  Result<Sites> run() {
    for (const Node& node : graph_.nodes()) {
      if (!is_known(node)) {
        return error(node, "the operator is none of an Ettin graph");
      }
      ETTIN_RETURN_IF_ERROR(visit(node));
    }
    if (sites_.embedding.output.empty()) {
      return Status(StatusCode::unsupported,
                    graph_.file().path + ": no embedding: nothing looks up input_ids in a table",
                    "is this the graph of an Ettin or ModernBERT model?");
    }
    return std::move(sites_);
  }

 private:
  Status error(const Node& node, std::string_view why) const {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: node \"{:.80}\" ({:.60}): {}", graph_.file().path, node.name,
                              node.full_op(), why),
                  "export the model anew, or use its safetensors");
  }

  void use(const Constant& c) { sites_.used.insert(c.origins.begin(), c.origins.end()); }

  bool flows(std::string_view value) const { return sites_.from_embedding.contains(value); }

  Status visit(const Node& node) {
    const std::string_view op = node.op;
    if (sites_.embedding.output.empty()) ETTIN_RETURN_IF_ERROR(embedding(node));
    const bool reads = std::any_of(node.inputs.begin(), node.inputs.end(),
                                   [&](std::string_view v) { return !v.empty() && flows(v); });
    if (!reads) return {};
    if (op != "Shape") sites_.from_embedding.insert(node.outputs.begin(), node.outputs.end());
    if (op == "MatMul" || op == "FusedMatMul" || op == "Gemm") return matmul(node);
    if (op == "MatMulInteger") return matmul_integer(node);
    if (op == "DynamicQuantizeMatMul") return dynamic_matmul(node, 0, 2, 3, 4);
    if (op == "MatMulIntegerToFloat") return dynamic_matmul(node, 0, 3, 5, 6);
    if (op == "MatMulNBits") return matmul_nbits(node);
    if (op == "LayerNormalization") return norm(node, 1, 2, 0);
    if (op == "SkipLayerNormalization") return norm(node, 2, 3, 0);
    if (op == "Mul") return decomposed_norm(node);
    return {};
  }

  // --- embedding ---------------------------------------------------------------------------------

  Status embedding(const Node& node) {
    const bool blocks = node.op == "GatherBlockQuantized";
    if ((node.op != "Gather" && !blocks) || node.inputs.size() < 2 || node.outputs.empty()) {
      return {};
    }
    if (strip(graph_, node.inputs[1]) != "input_ids") return {};
    const Constant* table = constants_.find(node.inputs[0]);
    if (table == nullptr || table->rank() != 2) return error(node, "its table is not constant");
    if (node.integer(blocks ? "gather_axis" : "axis", 0) != 0) {
      return error(node, "it looks up columns");
    }
    EmbeddingSite& site = sites_.embedding;
    site.output = node.outputs[0];
    site.origin = table->origins[0];
    use(*table);
    if (blocks) return blocked_embedding(node, *table);
    Constant whole = *table;
    const std::span<const Use> uses = graph_.uses(node.outputs[0]);
    if (!table->dequantized && !uses.empty()) {
      const Node& next = graph_.node(uses[0].node);
      if (next.op == "DequantizeLinear" && uses[0].input == 0) {
        const Constant* scale = constants_.find(next.input(1));
        const Constant* zero = next.input(2).empty() ? nullptr : constants_.find(next.input(2));
        const auto one = [](const Constant* c) { return c->element_count() == 1 && c->first == 0; };
        if (scale == nullptr || !one(scale) || (zero != nullptr && !one(zero))) {
          return error(next, "an embedding has one scale and one zero point");
        }
        whole.dequantized = true;
        whole.divisors.assign(2, 1);
        whole.scales = {scale->bytes, scale->type, {0, 0}};
        use(*scale);
        if (zero != nullptr) {
          whole.zeros = {zero->bytes, zero->type, {0, 0}};
          use(*zero);
        }
        site.output = next.outputs[0];
      }
    }
    ETTIN_ASSIGN_OR_RETURN(site.table, matrix(whole, false));
    begin(node.outputs[0]);
    begin(site.output);
    return {};
  }

  void begin(std::string_view value) { sites_.from_embedding.insert(value); }

  // data [V, H * bits / 8] of bytes, or [V, H] of 4-bit numbers; scales and zero points of blocks.
  Status blocked_embedding(const Node& node, const Constant& data) {
    const int64_t block = node.integer("block_size", 128), bits = node.integer("bits", 4);
    const bool bytes = data.type == Type::u8;
    const auto kind = bytes ? (bits == 4   ? std::optional(NumberKind::u4)
                               : bits == 8 ? std::optional(NumberKind::u8)
                                           : std::nullopt)
                            : number_kind(data.type);
    if (!kind || !is_integer(*kind) || !data.contiguous() || data.first != 0 || block < 16 ||
        block > (1 << 24) || node.integer("quantize_axis", 1) != 1) {
      return error(node, "a form of blocks that is not read");
    }
    AffineMatrix& m = sites_.embedding.table;
    m.rows = data.extents[0];
    m.columns = bytes ? data.extents[1] * 8 / bits : data.extents[1];
    m.values = {data.bytes, *kind, 0, m.columns, 1};
    m.block = block;
    m.zero = bytes ? static_cast<double>(1 << (bits - 1)) : 0;
    ETTIN_RETURN_IF_ERROR(block_numbers(node, node.input(2), node.input(3), &m));
    begin(node.outputs[0]);
    return {};
  }

  // --- products ----------------------------------------------------------------------------------

  Result<AffineMatrix> matrix(const Constant& c, bool transposed) const {
    Result<AffineMatrix> m = as_matrix(c, transposed);
    if (!m.ok()) return m.status().with_context(graph_.file().path);
    return m;
  }

  // Adds a site; a bias that is added to its output belongs to it.
  Status add(const Node& node, std::string_view x, std::string_view y, AffineMatrix weight,
             std::string_view origin, const Constant* bias) {
    LinearSite site;
    site.source = strip(graph_, x);
    site.output = y;
    site.weight = std::move(weight);
    site.origin = origin;
    site.node = node.name;
    if (bias == nullptr && graph_.uses(y).size() == 1) {
      const Use use = graph_.uses(y)[0];
      const Node& next = graph_.node(use.node);
      if (next.op == "Add" && next.inputs.size() == 2) {
        bias = constants_.find(next.inputs[1 - use.input]);
        if (bias != nullptr) site.output = next.outputs[0];
      } else if (next.op == "BiasGelu" && use.input == 0) {
        bias = constants_.find(next.input(1));
      }
    }
    if (bias != nullptr) {
      if (bias->element_count() != site.weight.rows || !number_kind(bias->type) ||
          bias->dequantized || !bias->contiguous()) {
        return error(node, "its bias does not fit its weight");
      }
      site.bias = *bias;
      use(*bias);
    }
    sites_.linears.push_back(std::move(site));
    return {};
  }

  Status matmul(const Node& node) {
    if (node.inputs.size() < 2 || node.outputs.empty()) return error(node, "inputs are missing");
    const Constant* b = constants_.find(node.inputs[1]);
    if (b == nullptr || b->rank() != 2) {
      const Constant* a = constants_.find(node.inputs[0]);
      if (a != nullptr && a->element_count() >= 1024) {
        return error(node, "a weight on the left is not read");
      }
      return {};
    }
    const bool gemm = node.op == "Gemm";
    const float alpha = node.number("alpha", 1), beta = node.number("beta", 1);
    if (alpha != 1 || (gemm && beta != 1) || node.integer("transA", 0) != 0) {
      return error(node, "alpha and beta should be 1 and transA 0");
    }
    const bool by_rows = node.op != "MatMul" && node.integer("transB", 0) != 0;
    const Constant* bias =
        gemm && !node.input(2).empty() ? constants_.find(node.input(2)) : nullptr;
    if (gemm && !node.input(2).empty() && bias == nullptr) return error(node, "C is not constant");
    ETTIN_ASSIGN_OR_RETURN(AffineMatrix weight, matrix(*b, !by_rows));
    use(*b);
    return add(node, node.inputs[0], node.outputs[0], std::move(weight), b->origins[0], bias);
  }

  // q [K, N] with scales and zero points of one number or of N.
  Result<AffineMatrix> integer_matrix(const Node& node, std::string_view q, std::string_view scale,
                                      std::string_view zero) {
    const Constant* values = constants_.find(q);
    const Constant* scales = constants_.find(scale);
    const Constant* zeros = zero.empty() ? nullptr : constants_.find(zero);
    if (values == nullptr || values->rank() != 2 || values->dequantized || scales == nullptr ||
        (!zero.empty() && zeros == nullptr)) {
      return error(node, "its weight, scale or zero point is not constant");
    }
    Constant whole = *values;
    whole.dequantized = true;
    whole.divisors.assign(2, 1);
    const auto per_column = [&](const Constant& c) -> std::optional<BlockNumbers> {
      const int64_t count = c.element_count();
      if (c.first != 0) return std::nullopt;
      if (count != 1 && (count != whole.extents[1] || !c.contiguous())) return std::nullopt;
      return BlockNumbers{c.bytes, c.type, {0, count == 1 ? 0 : 1}};
    };
    const auto s = per_column(*scales);
    const auto z = zeros == nullptr ? std::optional(BlockNumbers()) : per_column(*zeros);
    if (!s || !z) return error(node, "scales and zero points should be one or one per column");
    whole.scales = *s;
    whole.zeros = *z;
    use(*values);
    use(*scales);
    if (zeros != nullptr) use(*zeros);
    ETTIN_ASSIGN_OR_RETURN(AffineMatrix m, matrix(whole, true));
    m.rounds_activations = true;
    return m;
  }

  // MatMulInteger -> Cast -> Mul by (scale of x times scale of W).
  Status matmul_integer(const Node& node) {
    if (node.inputs.size() < 2 || node.outputs.empty()) return error(node, "inputs are missing");
    const auto only_use = [&](std::string_view value, std::string_view op) -> const Node* {
      const auto uses = graph_.uses(value);
      return uses.size() == 1 && graph_.node(uses[0].node).op == op ? &graph_.node(uses[0].node)
                                                                    : nullptr;
    };
    const Node* cast = only_use(node.outputs[0], "Cast");
    const Node* scaled = cast == nullptr ? nullptr : only_use(cast->outputs[0], "Mul");
    if (scaled == nullptr || scaled->inputs.size() != 2) {
      return error(node, "no scale is applied to its result");
    }
    const std::string_view factor = scaled->inputs[scaled->inputs[0] == cast->outputs[0] ? 1 : 0];
    const Node* product = graph_.producer(factor);
    std::string_view scale;
    if (product != nullptr && product->op == "Mul" && product->inputs.size() == 2) {
      for (const std::string_view v : product->inputs) {
        if (constants_.find(v) != nullptr) scale = v;
      }
    }
    if (scale.empty()) return error(node, "the scale of its weight is not found");
    ETTIN_ASSIGN_OR_RETURN(AffineMatrix weight,
                           integer_matrix(node, node.inputs[1], scale, node.input(3)));
    return add(node, node.inputs[0], scaled->outputs[0], std::move(weight), node.inputs[1],
               nullptr);
  }

  Status dynamic_matmul(const Node& node, size_t x, size_t scale, size_t zero, size_t bias) {
    if (node.inputs.size() < 3 || node.outputs.empty()) return error(node, "inputs are missing");
    ETTIN_ASSIGN_OR_RETURN(
        AffineMatrix weight,
        integer_matrix(node, node.inputs[1], node.input(scale), node.input(zero)));
    const Constant* b = node.input(bias).empty() ? nullptr : constants_.find(node.input(bias));
    if (!node.input(bias).empty() && b == nullptr) return error(node, "its bias is not constant");
    return add(node, node.inputs[x], node.outputs[0], std::move(weight), node.inputs[1], b);
  }

  // Scales [N, blocks] or [N * blocks]; zero points of float, or integers of `bits` whose rows
  // begin at whole bytes.
  Status block_numbers(const Node& node, std::string_view scale, std::string_view zero,
                       AffineMatrix* m) {
    const int64_t blocks = m->blocks();
    m->block = std::min(m->block, m->columns);
    const Constant* scales = constants_.find(scale);
    if (scales == nullptr || !number_kind(scales->type) || is_integer(*number_kind(scales->type)) ||
        !scales->contiguous() || scales->dequantized ||
        scales->element_count() != m->rows * blocks) {
      return error(node, "its scales do not fit its weight");
    }
    m->scales = {scales->bytes, *number_kind(scales->type), scales->first, blocks, 1};
    use(*scales);
    if (!zero.empty()) {
      const Constant* zeros = constants_.find(zero);
      if (zeros == nullptr || zeros->dequantized || !number_kind(zeros->type) ||
          !zeros->contiguous() || zeros->first != 0) {
        return error(node, "its zero points are not constant");
      }
      NumberKind kind = *number_kind(zeros->type);
      int64_t row = blocks;
      if (zeros->type == Type::u8 && number_bits(m->values.kind) == 4) {
        kind = NumberKind::u4;
        row = (blocks + 1) / 2 * 2;
      }
      if (zeros->element_count() * number_bits(*number_kind(zeros->type)) !=
          m->rows * row * number_bits(kind)) {
        return error(node, "its zero points do not fit its weight");
      }
      m->zeros = {zeros->bytes, kind, 0, row, 1};
      use(*zeros);
    }
    return m->holds() ? Status() : error(node, "its weight is smaller than it says");
  }

  Status matmul_nbits(const Node& node) {
    const int64_t n = node.integer("N", 0), k = node.integer("K", 0);
    const int64_t bits = node.integer("bits", 4), block = node.integer("block_size", 0);
    const Constant* b = node.inputs.size() < 3 ? nullptr : constants_.find(node.inputs[1]);
    constexpr int64_t kMost = int64_t{1} << 24;
    if (b == nullptr || b->type != Type::u8 || !b->contiguous() || b->first != 0 || n <= 0 ||
        k <= 0 || n > kMost || k > kMost || block < 16 || block > kMost ||
        (block & (block - 1)) != 0) {
      return error(node, "a form of blocks that is not read");
    }
    if (bits != 4 && bits != 8) return error(node, fmt::format("blocks of {} bits", bits));
    if (node.integer("weight_prepacked", 0) != 0) return error(node, "its weight is prepacked");
    const Constant* order = node.input(4).empty() ? nullptr : constants_.find(node.input(4));
    if (!node.input(4).empty() && (order == nullptr || order->element_count() != 0)) {
      return error(node, "g_idx is not read");
    }
    AffineMatrix m;
    m.rows = n;
    m.columns = k;
    m.block = block;
    m.values = {b->bytes, bits == 4 ? NumberKind::u4 : NumberKind::u8, 0, m.blocks() * block, 1};
    m.zero = static_cast<double>(1 << (bits - 1));
    if (b->element_count() * 8 != n * m.values.row_stride * bits) {
      return error(node, "its weight does not have the size of N, K and block_size");
    }
    use(*b);
    ETTIN_RETURN_IF_ERROR(block_numbers(node, node.inputs[2], node.input(3), &m));
    const Constant* bias = node.input(5).empty() ? nullptr : constants_.find(node.input(5));
    if (!node.input(5).empty() && bias == nullptr) return error(node, "its bias is not constant");
    return add(node, node.inputs[0], node.outputs[0], std::move(m), b->origins[0], bias);
  }

  // --- norms -------------------------------------------------------------------------------------

  Status add_norm(const Node& node, std::string_view output, const Constant& gain,
                  const Constant* bias, float eps) {
    if (gain.rank() != 1 || !number_kind(gain.type) || is_integer(*number_kind(gain.type)) ||
        !gain.contiguous()) {
      return error(node, "its gain should be floating numbers");
    }
    NormSite site;
    site.output = output;
    site.gain = gain;
    site.eps = eps;
    site.origin = gain.origins[0];
    use(gain);
    if (bias != nullptr) {
      if (bias->extents != gain.extents || !number_kind(bias->type) || !bias->contiguous()) {
        return error(node, "its bias does not fit its gain");
      }
      use(*bias);
      // Exporters write zeros where the model has no bias.
      std::vector<float> values(static_cast<size_t>(bias->element_count()));
      NumberGrid{bias->bytes, *number_kind(bias->type), bias->first, 0, 1}.read_row(0, values);
      const auto is_zero = [](float v) { return v == 0; };
      if (!std::all_of(values.begin(), values.end(), is_zero)) site.bias = *bias;
    }
    sites_.norms.push_back(std::move(site));
    return {};
  }

  Status norm(const Node& node, size_t gain, size_t bias, size_t output) {
    const Constant* g = constants_.find(node.input(gain));
    const Constant* b = node.input(bias).empty() ? nullptr : constants_.find(node.input(bias));
    if (g == nullptr || (!node.input(bias).empty() && b == nullptr) || node.outputs.empty()) {
      return error(node, "its gain or bias is not constant");
    }
    const bool skips = node.op == "SkipLayerNormalization";
    if (skips && !node.input(4).empty()) return error(node, "a bias before the norm is not read");
    if (!skips && node.integer("axis", -1) != -1) return error(node, "axis should be -1");
    return add_norm(node, node.outputs[output], *g, b,
                    node.number("epsilon", skips ? 1e-12f : 1e-5f));
  }

  // Mul(Div(x - mean, Sqrt(variance + eps)), gain), then perhaps Add(bias).
  Status decomposed_norm(const Node& node) {
    if (node.inputs.size() != 2 || node.outputs.empty()) return {};
    for (size_t i = 0; i < 2; ++i) {
      const Node* div = graph_.producer(node.inputs[i]);
      if (div == nullptr || div->op != "Div" || div->inputs.size() != 2) continue;
      const Node* root = graph_.producer(div->inputs[1]);
      if (root == nullptr || root->op != "Sqrt" || root->inputs.empty()) continue;
      const Constant* gain = constants_.find(node.inputs[1 - i]);
      if (gain == nullptr || gain->rank() != 1) continue;
      const Node* sum = graph_.producer(root->inputs[0]);
      std::optional<double> eps;
      for (size_t k = 0; sum != nullptr && sum->op == "Add" && k < sum->inputs.size(); ++k) {
        if (const auto value = constants_.scalar(sum->inputs[k])) eps = value;
      }
      if (!eps) return error(node, "a norm without its epsilon");
      const Constant* bias = nullptr;
      std::string_view output = node.outputs[0];
      const auto uses = graph_.uses(output);
      if (uses.size() == 1 && graph_.node(uses[0].node).op == "Add") {
        const Node& next = graph_.node(uses[0].node);
        const Constant* c =
            next.inputs.size() == 2 ? constants_.find(next.inputs[1 - uses[0].input]) : nullptr;
        if (c != nullptr && c->extents == gain->extents) {
          bias = c;
          output = next.outputs[0];
        }
      }
      return add_norm(node, output, *gain, bias, static_cast<float>(*eps));
    }
    return {};
  }

  const Graph& graph_;
  Constants& constants_;
  Sites sites_;
};

}  // namespace

std::string_view strip(const Graph& graph, std::string_view value) {
  static constexpr std::string_view kPassed[] = {"Cast", "Identity", "QuantizeLinear",
                                                 "DequantizeLinear", "DynamicQuantizeLinear"};
  while (true) {
    const Node* node = graph.producer(value);
    if (node == nullptr || node->inputs.empty() || !node->domain.empty() ||
        std::find(std::begin(kPassed), std::end(kPassed), node->op) == std::end(kPassed)) {
      return value;
    }
    value = node->inputs[0];
  }
}

Result<Sites> find_sites(const Graph& graph, Constants* constants) {
  return Finder(graph, constants).run();
}

}  // namespace ettin::onnx
