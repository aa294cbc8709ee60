#include "formats/onnx/import.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "formats/onnx/roles.h"

namespace ettin::onnx {
namespace {

constexpr int64_t kMostLayers = 512;
constexpr int64_t kLarge = 1024;  // elements of a tensor that must be accounted for

Dtype stored_dtype(NumberKind kind) {
  switch (kind) {
    case NumberKind::f64:
      return Dtype::f64;
    case NumberKind::f32:
      return Dtype::f32;
    case NumberKind::bf16:
      return Dtype::bf16;
    case NumberKind::f16:
      return Dtype::f16;
    case NumberKind::i8:
      return Dtype::i8;
    default:
      return Dtype::u8;
  }
}

// Elements of typed fields lie in memory of the reader's own.
bool lies_in_a_file(const OnnxFile& file, Bytes bytes) {
  return std::any_of(file.maps.begin(), file.maps.end(), [&](Bytes map) {
    return bytes.data() >= map.data() && bytes.data() + bytes.size() <= map.data() + map.size();
  });
}

StoredTensor matrix_tensor(std::string name, const AffineMatrix& m, const OnnxFile& file) {
  StoredTensor t;
  t.name = std::move(name);
  t.dtype = stored_dtype(m.values.kind);
  t.shape = {static_cast<uint64_t>(m.rows), static_cast<uint64_t>(m.columns)};
  t.bytes = m.values.bytes;
  t.mapped = lies_in_a_file(file, t.bytes);
  const int64_t size = number_bits(m.values.kind) / 8;
  if (!m.quantized() && m.values.column_stride == 1 && m.values.row_stride == m.columns) {
    t.bytes = t.bytes.subspan(static_cast<size_t>(m.values.first * size),
                              static_cast<size_t>(m.rows * m.columns * size));
  } else {
    t.affine = std::make_shared<const AffineMatrix>(m);
  }
  return t;
}

StoredTensor vector_tensor(std::string name, const Constant& c, int64_t first, int64_t count) {
  const NumberKind kind = *number_kind(c.type);
  const int64_t size = number_bits(kind) / 8;
  StoredTensor t;
  t.name = std::move(name);
  t.dtype = stored_dtype(kind);
  t.shape = {static_cast<uint64_t>(count)};
  t.bytes = c.bytes.subspan(static_cast<size_t>((c.first + first) * size),
                            static_cast<size_t>(count * size));
  return t;
}

AffineMatrix some_rows(AffineMatrix m, int64_t first, int64_t count) {
  m.rows = count;
  for (NumberGrid* grid : {&m.values, &m.scales, &m.zeros}) grid->first += first * grid->row_stride;
  return m;
}

// The number after "layers." or "layers/" or "layers_" in a name.
std::optional<int64_t> layer_in_name(std::string_view name) {
  const size_t at = name.find("layers");
  if (at == std::string_view::npos || at + 7 >= name.size()) return std::nullopt;
  int64_t number = 0;
  const auto [end, error] =
      std::from_chars(name.data() + at + 7, name.data() + name.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

class Importer {
 public:
  Importer(const Graph& graph, Constants* constants, Sites sites)
      : graph_(graph), constants_(*constants), sites_(std::move(sites)) {}

  Result<Imported> run() {
    const AffineMatrix& table = sites_.embedding.table;
    hidden_ = table.columns;
    out_.facts.file = graph_.file().path;
    out_.facts.vocab_size = table.rows;
    out_.facts.hidden_size = hidden_;
    add_matrix("model.embeddings.tok_embeddings", table);
    while (next_ < sites_.linears.size()) {
      ETTIN_ASSIGN_OR_RETURN(const bool found, layer());
      if (!found) break;
    }
    if (out_.facts.layers.empty()) return unsupported("it has no layer of Ettin's form");
    ETTIN_RETURN_IF_ERROR(head());
    ETTIN_RETURN_IF_ERROR(norms());
    ETTIN_RETURN_IF_ERROR(leftovers());
    out_.facts.causal = causal();
    return std::move(out_);
  }

 private:
  Status unsupported(std::string why) const {
    return Status(StatusCode::unsupported, fmt::format("{}: {}", graph_.file().path, why),
                  "export the model anew, or use its safetensors");
  }

  Status unplaced(const LinearSite& site, std::string_view expected) const {
    return unsupported(
        fmt::format("weight \"{:.80}\" [{}, {}] of node \"{:.80}\" stands where {} "
                    "should be",
                    site.origin, site.weight.rows, site.weight.columns, site.node, expected));
  }

  const LinearSite* site(size_t ahead) const {
    return next_ + ahead < sites_.linears.size() ? &sites_.linears[next_ + ahead] : nullptr;
  }

  static bool has_shape(const LinearSite* s, int64_t rows, int64_t columns) {
    return s != nullptr && s->weight.rows == rows && s->weight.columns == columns;
  }

  void add_matrix(const std::string& base, const AffineMatrix& m) {
    out_.tensors.push_back(matrix_tensor(base + ".weight", m, graph_.file()));
  }

  void add(const std::string& base, const LinearSite& s) {
    add_matrix(base, s.weight);
    if (s.bias) out_.tensors.push_back(vector_tensor(base + ".bias", *s.bias, 0, s.weight.rows));
  }

  Status check_name(const LinearSite& s, int64_t layer) const {
    for (const std::string_view name : {s.origin, s.node}) {
      const std::optional<int64_t> stated = layer_in_name(name);
      if (!stated || *stated == layer) continue;
      return Status(
          StatusCode::bad_data,
          fmt::format("{}: \"{:.80}\" stands in layer {}", graph_.file().path, name, layer),
          "the names of the graph contradict its data flow");
    }
    return {};
  }

  // One layer, or false where the head begins.
  Result<bool> layer() {
    const auto number = static_cast<int64_t>(out_.facts.layers.size());
    const std::string base = fmt::format("model.layers.{}.", number);
    const int64_t H = hidden_;
    const LinearSite* first = site(0);
    std::vector<const LinearSite*> qkv = {first};
    if (!has_shape(first, 3 * H, H)) {
      if (!has_shape(first, H, H)) return false;
      qkv = {first, site(1), site(2)};
      for (const LinearSite* s : qkv) {
        if (!has_shape(s, H, H) || s->source != first->source) return false;
      }
    }
    if (number == kMostLayers) return unsupported(fmt::format("more than {} layers", kMostLayers));
    for (const LinearSite* s : qkv) ETTIN_RETURN_IF_ERROR(check_name(*s, number));
    std::vector<std::string_view> outputs;
    for (const LinearSite* s : qkv) outputs.push_back(s->output);
    if (qkv.size() == 1) {
      add(base + "attn.Wqkv", *first);
    } else {
      ETTIN_RETURN_IF_ERROR(query_key_value(base, qkv));
    }
    next_ += qkv.size();
    const LinearSite* attn_out = site(0);
    if (!has_shape(attn_out, H, H)) {
      return attn_out == nullptr ? unsupported("it ends inside a layer")
                                 : unplaced(*attn_out, "the output of the attention");
    }
    ETTIN_RETURN_IF_ERROR(check_name(*attn_out, number));
    add(base + "attn.Wo", *attn_out);
    ++next_;
    ETTIN_RETURN_IF_ERROR(mlp(base, number));
    ETTIN_RETURN_IF_ERROR(attention(outputs));
    return true;
  }

  Status query_key_value(const std::string& base, std::span<const LinearSite* const> sites) {
    std::array<const LinearSite*, 3> parts = {};
    for (const LinearSite* s : sites) {
      const auto part = find_part(graph_, &constants_, s->output);
      if (!part || parts[static_cast<size_t>(*part)] != nullptr) {
        return unplaced(*s, "one each of query, key and value");
      }
      parts[static_cast<size_t>(*part)] = s;
    }
    for (size_t i = 0; i < 3; ++i) add(fmt::format("{}attn.{}_proj", base, "qkv"[i]), *parts[i]);
    return {};
  }

  Status mlp(const std::string& base, int64_t layer) {
    const LinearSite* a = site(0);
    const LinearSite* b = site(1);
    if (a == nullptr || a->weight.columns != hidden_) {
      return a == nullptr ? unsupported("it ends inside a layer")
                          : unplaced(*a, "the input of the MLP");
    }
    const bool apart =
        b != nullptr && b->source == a->source && has_shape(b, a->weight.rows, hidden_);
    const int64_t I = apart ? a->weight.rows : a->weight.rows / 2;
    ETTIN_RETURN_IF_ERROR(check_name(*a, layer));
    std::optional<std::string_view> activation;
    if (apart) {
      ETTIN_RETURN_IF_ERROR(check_name(*b, layer));
      activation = find_activation(graph_, &constants_, a->output);
      if (!activation) {
        std::swap(a, b);
        activation = find_activation(graph_, &constants_, a->output);
      }
      if (!activation) return unplaced(*a, "a product with an activation");
      add(base + "mlp.activated_proj", *a);
      add(base + "mlp.gate_proj", *b);
    } else {
      if (a->weight.rows % 2 != 0) return unplaced(*a, "the input of the MLP");
      ETTIN_ASSIGN_OR_RETURN(activation, packed_mlp(base, *a));
    }
    if (out_.facts.activation.empty()) out_.facts.activation = *activation;
    if (out_.facts.activation != *activation) {
      return unsupported(fmt::format("layer {} has the activation {}, others {}", layer,
                                     *activation, out_.facts.activation));
    }
    if (layer == 0) out_.facts.intermediate_size = I;
    next_ += apart ? 2 : 1;
    const LinearSite* out = site(0);
    if (!has_shape(out, hidden_, I)) {
      return out == nullptr ? unsupported("it ends inside a layer")
                            : unplaced(*out, "the output of the MLP");
    }
    ETTIN_RETURN_IF_ERROR(check_name(*out, layer));
    add(base + "mlp.Wo", *out);
    ++next_;
    return {};
  }

  // [2 I, H]: transformers activates the first half; a graph may activate the second.
  Result<std::string_view> packed_mlp(const std::string& base, const LinearSite& s) {
    const int64_t half = s.weight.rows / 2;
    const auto halves = find_halves(graph_, &constants_, s.output, s.weight.rows);
    if (halves.size() != 2) return unplaced(s, "an MLP that is cut into two halves");
    if (const auto first = find_activation(graph_, &constants_, halves[0])) {
      add(base + "mlp.Wi", s);
      return *first;
    }
    const auto second = find_activation(graph_, &constants_, halves[1]);
    if (!second) return unplaced(s, "a product with an activation");
    const auto add_half = [&](std::string_view name, int64_t at) {
      const std::string full = base + std::string(name);
      add_matrix(full, some_rows(s.weight, at, half));
      if (s.bias) out_.tensors.push_back(vector_tensor(full + ".bias", *s.bias, at, half));
    };
    add_half("mlp.activated_proj", half);
    add_half("mlp.gate_proj", 0);
    return *second;
  }

  Status attention(std::span<const std::string_view> outputs) {
    const AttentionFacts found = find_attention(graph_, &constants_, sites_, outputs);
    GraphFacts& facts = out_.facts;
    masked_ = masked_ || found.masked;
    causal_mask_ = causal_mask_ || found.causal;
    facts.layers.push_back({found.local, found.window_left, found.rope_theta});
    std::optional<int64_t> heads = found.heads;
    if (!heads && found.head_dim && hidden_ % *found.head_dim == 0) {
      heads = hidden_ / *found.head_dim;
    }
    if (!facts.num_heads) facts.num_heads = heads;
    if (heads && facts.num_heads != heads) return unsupported("its layers differ in their heads");
    return {};
  }

  Status head() {
    const size_t left = sites_.linears.size() - next_;
    if (left == 0) return {};
    const LinearSite& dense = *site(0);
    if (!has_shape(&dense, hidden_, hidden_)) return unplaced(dense, "the head's dense layer");
    const LinearSite* top = site(1);
    if (top == nullptr || top->weight.columns != hidden_) {
      return unsupported("the head has no layer of vocabulary or labels");
    }
    if (const LinearSite* more = site(2)) return unplaced(*more, "the end of the graph");
    const bool words = top->weight.rows == out_.facts.vocab_size;
    out_.facts.top = words ? GraphFacts::Top::language_model : GraphFacts::Top::classifier;
    add("head.dense", dense);
    add(words ? "decoder" : "classifier", *top);
    return {};
  }

  Status norms() {
    const bool has_head = out_.facts.top != GraphFacts::Top::none;
    const size_t layers = out_.facts.layers.size();
    const size_t expected = 2 * layers + 1 + (has_head ? 1 : 0);
    if (sites_.norms.size() != expected) {
      return unsupported(fmt::format(
          "{} layers have {} norms, but {} are found{}", layers, expected, sites_.norms.size(),
          sites_.norms.size() == expected + 1 ? ": Ettin has no attention norm in layer 0" : ""));
    }
    std::vector<std::string> names = {"model.embeddings.norm"};
    for (size_t i = 0; i < layers; ++i) {
      if (i > 0) names.push_back(fmt::format("model.layers.{}.attn_norm", i));
      names.push_back(fmt::format("model.layers.{}.mlp_norm", i));
    }
    names.push_back("model.final_norm");
    if (has_head) names.push_back("head.norm");
    out_.facts.norm_eps = static_cast<double>(sites_.norms[0].eps);
    for (size_t i = 0; i < names.size(); ++i) {
      const NormSite& norm = sites_.norms[i];
      if (norm.gain.extents[0] != hidden_) {
        return unsupported(fmt::format("norm \"{:.80}\" has {} gains and should have {}",
                                       norm.origin, norm.gain.extents[0], hidden_));
      }
      if (std::fabs(norm.eps - sites_.norms[0].eps) > 1e-3f * sites_.norms[0].eps) {
        return unsupported("its norms differ in their epsilon");
      }
      out_.tensors.push_back(vector_tensor(names[i] + ".weight", norm.gain, 0, hidden_));
      if (norm.bias) {
        out_.tensors.push_back(vector_tensor(names[i] + ".bias", *norm.bias, 0, hidden_));
      }
    }
    return {};
  }

  // Whatever is large must be a weight that was placed, or a table of rotations.
  Status leftovers() {
    for (const Node& node : graph_.nodes()) {
      if (node.op != "RotaryEmbedding" && node.op != "GroupQueryAttention") continue;
      for (size_t i = 1; i < node.inputs.size(); ++i) {
        const Constant* c = constants_.find(node.inputs[i]);
        if (c != nullptr) sites_.used.insert(c->origins.begin(), c->origins.end());
      }
    }
    for (const Tensor& t : graph_.file().initializers) {
      if (t.element_count() < kLarge || sites_.used.contains(t.name)) continue;
      return unsupported(fmt::format("tensor \"{:.80}\" [{}] is none of an Ettin model's weights",
                                     t.name, t.element_count()));
    }
    return {};
  }

  std::optional<bool> causal() const {
    for (const GraphInput& input : graph_.file().inputs) {
      if (input.name.starts_with("past_key_values.")) return true;
    }
    for (const Node& node : graph_.nodes()) {
      if (node.op == "GroupQueryAttention" || node.op == "Trilu" ||
          node.integer("unidirectional", 0) == 1 || node.integer("is_causal", 0) == 1) {
        return true;
      }
    }
    return masked_ ? std::optional(causal_mask_) : std::nullopt;
  }

  const Graph& graph_;
  Constants& constants_;
  Sites sites_;
  size_t next_ = 0;  // of sites_.linears
  int64_t hidden_ = 0;
  bool masked_ = false, causal_mask_ = false;
  Imported out_;
};

}  // namespace

Result<Imported> import_onnx(const std::string& path) {
  ETTIN_ASSIGN_OR_RETURN(OnnxFile file, read_onnx_file(path));
  ETTIN_ASSIGN_OR_RETURN(const Graph graph, Graph::build(file));
  Constants constants(graph);
  ETTIN_ASSIGN_OR_RETURN(Sites sites, find_sites(graph, &constants));
  ETTIN_ASSIGN_OR_RETURN(Imported imported, Importer(graph, &constants, std::move(sites)).run());
  imported.files = std::move(file.files);
  imported.owners = std::move(file.owners);
  imported.owners.insert(imported.owners.end(), graph.owners().begin(), graph.owners().end());
  return imported;
}

}  // namespace ettin::onnx
