#include "formats/onnx/constant.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

namespace ettin::onnx {
namespace {

constexpr size_t kMostAxes = 16;
constexpr int64_t kMostBlock = 1 << 24;
constexpr int64_t kSmall = 4096;  // elements of a constant that is read as numbers

std::vector<int64_t> row_major(std::span<const int64_t> extents) {
  std::vector<int64_t> strides(extents.size());
  int64_t step = 1;
  for (size_t d = extents.size(); d-- > 0;) {
    strides[d] = step;
    step *= extents[d];
  }
  return strides;
}

bool is_float(Type type) {
  return type == Type::f32 || type == Type::f16 || type == Type::bf16 || type == Type::f64;
}

// Whether every number of `from` is one of `to`: such a cast changes nothing.
bool widens(Type from, Type to) {
  if (from == to || to == Type::f64) return is_float(from) || from == to;
  return to == Type::f32 && (from == Type::f16 || from == Type::bf16);
}

// -1 for the last of `rank` dimensions.
std::optional<size_t> dimension(int64_t axis, int64_t rank) {
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return std::nullopt;
  return static_cast<size_t>(axis);
}

// Dimension `d` of the constant is taken from its old place `from`, for all d at once.
void permute(const std::vector<size_t>& from, Constant* c) {
  const auto apply = [&](std::vector<int64_t>* v) {
    if (v->empty()) return;
    std::vector<int64_t> next(from.size());
    for (size_t d = 0; d < from.size(); ++d) next[d] = (*v)[from[d]];
    *v = std::move(next);
  };
  apply(&c->extents);
  apply(&c->strides);
  apply(&c->scales.strides);
  apply(&c->zeros.strides);
  apply(&c->divisors);
}

bool transpose(const Node& node, Constant* c) {
  std::vector<size_t> from(c->extents.size());
  std::iota(from.rbegin(), from.rend(), size_t{0});
  if (const Attribute* perm = node.find("perm")) {
    if (perm->ints.size() != from.size()) return false;
    std::vector<bool> seen(from.size());
    for (size_t d = 0; d < from.size(); ++d) {
      const int64_t p = perm->ints[d];
      if (p < 0 || p >= c->rank() || seen[static_cast<size_t>(p)]) return false;
      seen[static_cast<size_t>(p)] = true;
      from[d] = static_cast<size_t>(p);
    }
  }
  permute(from, c);
  return true;
}

bool reshape(std::span<const int64_t> shape, Constant* c) {
  if (c->dequantized || !c->contiguous() || shape.size() > 16) return false;
  std::vector<int64_t> extents(shape.begin(), shape.end());
  int64_t known = 1, unknown = -1;
  for (size_t d = 0; d < extents.size(); ++d) {
    if (extents[d] == 0 && d < c->extents.size()) extents[d] = c->extents[d];
    if (extents[d] == -1 && unknown < 0) {
      unknown = static_cast<int64_t>(d);
    } else if (extents[d] <= 0 || __builtin_mul_overflow(known, extents[d], &known)) {
      return false;
    }
  }
  const int64_t count = c->element_count();
  if (unknown >= 0) {
    if (count % known != 0) return false;
    extents[static_cast<size_t>(unknown)] = count / known;
    known *= count / known;
  }
  if (known != count) return false;
  c->strides = row_major(extents);
  c->extents = std::move(extents);
  return true;
}

// Elements [start, stop) of one dimension. Blocks would be cut: refused on a blocked dimension.
bool cut(size_t d, int64_t start, int64_t stop, Constant* c) {
  if (start < 0 || stop > c->extents[d] || start > stop) return false;
  if (c->dequantized && c->divisors[d] != 1) return false;
  if (c->dequantized &&
      (c->scales.strides[d] != 0 || (!c->zeros.bytes.empty() && c->zeros.strides[d] != 0))) {
    return false;
  }
  c->first += start * c->strides[d];
  c->extents[d] = stop - start;
  return true;
}

}  // namespace

int64_t Constant::element_count() const {
  int64_t count = 1;
  for (const int64_t e : extents) count *= e;
  return count;
}

bool Constant::contiguous() const { return strides == row_major(extents); }

const Constant* Constants::find(std::string_view value) {
  const auto found = known_.find(value);
  if (found != known_.end()) return found->second ? &*found->second : nullptr;
  std::optional<Constant> constant = evaluate(value);
  const auto [it, added] = known_.emplace(value, std::move(constant));
  return it->second ? &*it->second : nullptr;
}

const Constant* Constants::shallow(std::string_view value) {
  if (graph_.tensor(value) != nullptr || known_.contains(value)) return find(value);
  const Node* node = graph_.producer(value);
  const bool near = node != nullptr && !node->inputs.empty() &&
                    graph_.tensor(node->inputs[0]) != nullptr && node->op != "DequantizeLinear";
  return near ? find(value) : nullptr;
}

std::optional<Constant> Constants::evaluate(std::string_view value) {
  if (const Tensor* t = graph_.tensor(value)) {
    Constant c;
    c.bytes = t->data;
    c.type = t->type;
    c.extents = t->dims;
    c.strides = row_major(t->dims);
    c.origins = {value};
    return c;
  }
  // Chains are followed from their start, so that no chain is too long for the stack.
  std::vector<std::string_view> chain = {value};
  while (true) {
    const Node* node = graph_.producer(chain.back());
    if (node == nullptr || node->inputs.empty()) break;
    const std::string_view next = node->inputs[0];
    if (next.empty() || known_.contains(next) || graph_.tensor(next) != nullptr) break;
    static constexpr std::string_view kFolded[] = {"Identity", "Cast",    "Transpose",
                                                   "Reshape",  "Squeeze", "Unsqueeze",
                                                   "Slice",    "Split",   "DequantizeLinear"};
    if (!node->domain.empty() ||
        std::find(std::begin(kFolded), std::end(kFolded), node->op) == std::end(kFolded)) {
      return std::nullopt;
    }
    chain.push_back(next);
  }
  for (size_t i = chain.size(); i-- > 1;) {
    const Node* node = graph_.producer(chain[i]);
    known_.emplace(chain[i], node == nullptr ? std::nullopt : fold(*node, chain[i]));
  }
  const Node* node = graph_.producer(value);
  return node == nullptr ? std::nullopt : fold(*node, value);
}

std::optional<Constant> Constants::fold(const Node& node, std::string_view value) {
  if (!node.domain.empty() || node.inputs.empty() || node.op == "Constant") return std::nullopt;
  const Constant* from = nullptr;
  if (graph_.tensor(node.inputs[0]) != nullptr) {
    from = find(node.inputs[0]);
  } else if (const auto known = known_.find(node.inputs[0]); known != known_.end()) {
    from = known->second ? &*known->second : nullptr;
  }
  if (from == nullptr) return std::nullopt;
  Constant c = *from;
  const int64_t rank = c.rank();
  if (node.op == "Identity") return c;
  if (node.op == "Cast") {
    const auto to = static_cast<Type>(node.integer("to", 0));
    if (c.dequantized) return is_float(to) && to != Type::f16 ? std::optional(c) : std::nullopt;
    return widens(c.type, to) ? std::optional(c) : std::nullopt;
  }
  if (node.op == "Transpose") return transpose(node, &c) ? std::optional(c) : std::nullopt;
  if (node.op == "Reshape") {
    const auto shape = integers(node.input(1));
    return shape && reshape(*shape, &c) ? std::optional(c) : std::nullopt;
  }
  if (node.op == "Squeeze" || node.op == "Unsqueeze") {
    const auto axes = node.inputs.size() > 1 ? integers(node.inputs[1]) : std::nullopt;
    const Attribute* stated = node.find("axes");
    if (c.dequantized || (!axes && stated == nullptr)) return std::nullopt;
    std::vector<int64_t> shape = c.extents;
    std::vector<int64_t> wanted = axes ? *axes : stated->ints;
    if (wanted.size() > kMostAxes) return std::nullopt;
    const bool squeeze = node.op == "Squeeze";
    const int64_t full = squeeze ? rank : rank + static_cast<int64_t>(wanted.size());
    for (int64_t& a : wanted) a += a < 0 ? full : 0;
    std::sort(wanted.begin(), wanted.end());
    if (squeeze) std::reverse(wanted.begin(), wanted.end());
    for (const int64_t a : wanted) {
      if (a < 0 || a >= full) return std::nullopt;
      if (squeeze) {
        if (shape[static_cast<size_t>(a)] != 1) return std::nullopt;
        shape.erase(shape.begin() + a);
      } else {
        if (a > static_cast<int64_t>(shape.size())) return std::nullopt;
        shape.insert(shape.begin() + a, 1);
      }
    }
    return reshape(shape, &c) ? std::optional(c) : std::nullopt;
  }
  if (node.op == "Slice") {
    const auto starts = integers(node.input(1)), stops = integers(node.input(2));
    const auto axes = integers(node.input(3)), steps = integers(node.input(4));
    if (!starts || !stops || starts->size() != 1 || stops->size() != 1) return std::nullopt;
    if (steps && (steps->size() != 1 || (*steps)[0] != 1)) return std::nullopt;
    const auto d = dimension(axes && axes->size() == 1 ? (*axes)[0] : 0, rank);
    if (!d) return std::nullopt;
    const int64_t extent = c.extents[*d];
    const auto clamp = [&](int64_t at) {
      return std::clamp(at < 0 ? at + extent : at, int64_t{0}, extent);
    };
    return cut(*d, clamp((*starts)[0]), clamp((*stops)[0]), &c) ? std::optional(c) : std::nullopt;
  }
  if (node.op == "Split") {
    const auto d = dimension(node.integer("axis", 0), rank);
    const auto place = std::find(node.outputs.begin(), node.outputs.end(), value);
    if (!d || place == node.outputs.end()) return std::nullopt;
    const auto index = static_cast<size_t>(place - node.outputs.begin());
    const auto parts = static_cast<int64_t>(node.outputs.size());
    std::vector<int64_t> sizes(node.outputs.size(), (c.extents[*d] + parts - 1) / parts);
    if (const auto given = integers(node.input(1))) sizes = *given;
    if (const Attribute* given = node.find("split")) sizes = given->ints;
    if (index >= sizes.size()) return std::nullopt;
    int64_t start = 0;
    for (size_t i = 0; i < index; ++i) {
      if (sizes[i] < 0 || sizes[i] > c.extents[*d] - start) return std::nullopt;
      start += sizes[i];
    }
    const int64_t stop = std::min(
        c.extents[*d], start + std::max<int64_t>(0, std::min(sizes[index], c.extents[*d])));
    return cut(*d, start, stop, &c) ? std::optional(c) : std::nullopt;
  }
  if (node.op != "DequantizeLinear" || c.dequantized || c.first != 0) return std::nullopt;
  // (q - zero) * scale, per tensor, per index of one axis, or per block of one axis.
  const Constant* scale = shallow(node.input(1));
  const Constant* zero = node.input(2).empty() ? nullptr : shallow(node.input(2));
  if (scale == nullptr || (!node.input(2).empty() && zero == nullptr)) return std::nullopt;
  const auto whole = [](const Constant* k) { return k->contiguous() && k->first == 0; };
  if (!is_float(scale->type) || scale->dequantized || !whole(scale)) return std::nullopt;
  if (zero != nullptr && (zero->extents != scale->extents || !whole(zero))) {
    return std::nullopt;
  }
  const size_t dims = c.extents.size();
  c.dequantized = true;
  c.divisors.assign(dims, 1);
  std::vector<int64_t> strides(dims, 0);
  if (scale->element_count() != 1) {
    const auto axis = dimension(node.integer("axis", 1), rank);
    const int64_t block = node.integer("block_size", 0);
    if (!axis) return std::nullopt;
    if (block == 0) {
      if (scale->rank() != 1 || scale->extents[0] != c.extents[*axis]) return std::nullopt;
      strides[*axis] = 1;
    } else {
      if (block < 0 || block > kMostBlock || scale->rank() != rank) return std::nullopt;
      for (size_t d = 0; d < dims; ++d) {
        const int64_t blocks = d == *axis ? (c.extents[d] + block - 1) / block : c.extents[d];
        if (scale->extents[d] != blocks) return std::nullopt;
      }
      strides = row_major(scale->extents);
      c.divisors[*axis] = block;
    }
  }
  c.scales = {scale->bytes, scale->type, strides};
  if (zero != nullptr) c.zeros = {zero->bytes, zero->type, strides};
  c.origins.insert(c.origins.end(), scale->origins.begin(), scale->origins.end());
  if (zero != nullptr) {
    c.origins.insert(c.origins.end(), zero->origins.begin(), zero->origins.end());
  }
  return c;
}

std::optional<NumberKind> number_kind(Type type) {
  switch (type) {
    case Type::f64:
      return NumberKind::f64;
    case Type::f32:
      return NumberKind::f32;
    case Type::bf16:
      return NumberKind::bf16;
    case Type::f16:
      return NumberKind::f16;
    case Type::i8:
      return NumberKind::i8;
    case Type::u8:
      return NumberKind::u8;
    case Type::i4:
      return NumberKind::i4;
    case Type::u4:
      return NumberKind::u4;
    default:
      return std::nullopt;
  }
}

std::optional<std::vector<int64_t>> Constants::integers(std::string_view value) {
  const Tensor* t = graph_.tensor(value);
  if (t == nullptr || t->element_count() > kSmall) return std::nullopt;
  std::vector<int64_t> out(static_cast<size_t>(t->element_count()));
  for (size_t i = 0; i < out.size(); ++i) {
    if (t->type == Type::i64) {
      std::memcpy(&out[i], t->data.data() + 8 * i, 8);
    } else if (t->type == Type::i32) {
      int32_t v;
      std::memcpy(&v, t->data.data() + 4 * i, 4);
      out[i] = v;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

std::optional<std::vector<float>> Constants::floats(std::string_view value, int64_t most) {
  const Constant* c = find(value);
  if (c == nullptr || c->dequantized || !c->contiguous() || !is_float(c->type)) return std::nullopt;
  const int64_t count = std::min(c->element_count(), most);
  std::vector<float> out(static_cast<size_t>(count));
  const NumberGrid grid{c->bytes, *number_kind(c->type), c->first, 0, 1};
  if (!grid.holds(1, count)) return std::nullopt;
  grid.read_row(0, out);
  return out;
}

std::optional<double> Constants::scalar(std::string_view value) {
  if (const auto whole = integers(value)) {
    return whole->size() == 1 ? std::optional(static_cast<double>((*whole)[0])) : std::nullopt;
  }
  const auto number = floats(value, 2);
  return number && number->size() == 1 ? std::optional<double>((*number)[0]) : std::nullopt;
}

Result<AffineMatrix> as_matrix(const Constant& c, bool transposed) {
  const auto unsupported = [&](std::string why) {
    return Status(StatusCode::unsupported,
                  fmt::format("\"{:.80}\": {}", c.origins.empty() ? "" : c.origins[0], why));
  };
  if (c.rank() != 2) return unsupported(fmt::format("a weight of {} dimensions", c.rank()));
  const auto kind = number_kind(c.type);
  if (!kind) return unsupported(fmt::format("a weight of type {}", type_name(c.type)));
  if (is_integer(*kind) != c.dequantized) {
    return unsupported(fmt::format("a weight of type {} {} scales", type_name(c.type),
                                   c.dequantized ? "with" : "without"));
  }
  const size_t row = transposed ? 1 : 0, column = 1 - row;
  AffineMatrix m;
  m.rows = c.extents[row];
  m.columns = c.extents[column];
  m.values = {c.bytes, *kind, c.first, c.strides[row], c.strides[column]};
  m.block = m.columns;
  if (c.dequantized) {
    if (c.divisors[row] != 1) return unsupported("its blocks run across its outputs");
    if (c.scales.strides[column] != 0) m.block = std::min(c.divisors[column], m.columns);
    const auto grid = [&](const BlockNumbers& n) -> std::optional<NumberGrid> {
      const auto number = number_kind(n.type);
      if (!number) return std::nullopt;
      return NumberGrid{n.bytes, *number, 0, n.strides[row], n.strides[column]};
    };
    const auto scales = grid(c.scales);
    const auto zeros = c.zeros.bytes.empty() ? NumberGrid() : grid(c.zeros);
    if (!scales || !zeros) return unsupported("its scales or zero points have no known type");
    // Sums of int8 products fit into 32 bits because a zero is one of the type's own numbers.
    if (!zeros->bytes.empty() && zeros->kind != *kind) {
      return unsupported("its zero points are of another type");
    }
    m.scales = *scales;
    m.zeros = *zeros;
  }
  if (!m.holds()) return unsupported("its elements do not lie inside of the file");
  return m;
}

}  // namespace ettin::onnx
