// Attention and norms in operators of the standard.
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "backend/rope_table.h"
#include "infer/onnx/style.h"

namespace ettin {
namespace {

class PortableLayers final : public OnnxLayers {
 public:
  PortableLayers(OnnxEmitter* emitter, OnnxMasks* masks) : e_(*emitter), masks_(*masks) {}

  OnnxName attention(int64_t layer, const OnnxName& x, const Cache& cache) override {
    const ModelConfig& c = e_.config();
    const OnnxName packed = e_.linear(x, fmt::format("layers.{}.attn.Wqkv", layer));
    const std::vector<OnnxName> qkv = split(packed, c.hidden_size, 3);
    const Rope& rope = angles(c.rope_theta(layer));
    const OnnxName q = rotated(by_head(qkv[0]), rope);
    OnnxName k = rotated(by_head(qkv[1]), rope), v = by_head(qkv[2]);
    if (!cache.past_key.empty()) {
      const OnnxAttributes along = {{"axis", int64_t{2}}};
      k = e_.op("Concat", {cache.past_key, k}, along, cache.present_key);
      v = e_.op("Concat", {cache.past_value, v}, along, cache.present_value);
    }
    // Half of the scale on each side, as fp16 may not hold products of unscaled rows.
    const OnnxName scale = e_.number(std::pow(static_cast<double>(c.head_dim()), -0.25));
    const OnnxName columns = transpose(k, {0, 1, 3, 2});
    OnnxName scores = e_.op("MatMul", {e_.op("Mul", {q, scale}), e_.op("Mul", {columns, scale})});
    scores = e_.op("Add", {scores, masks_.mask(c.attention(layer), false)});
    const OnnxName shares = e_.op("Softmax", {scores}, {{"axis", int64_t{-1}}});
    const OnnxName seen = transpose(e_.op("MatMul", {shares, v}), {0, 2, 1, 3});
    return e_.reshape(seen, {0, 0, c.hidden_size});
  }

  Sum add_norm(const OnnxName& x, const OnnxName& update, const std::string& norm, bool) override {
    const OnnxName sum = e_.op("Add", {x, update});
    return {e_.norm(sum, norm), sum};
  }

  OnnxName gated(int64_t layer, const OnnxName& x) override {
    const OnnxName packed = e_.linear(x, fmt::format("layers.{}.mlp.Wi", layer));
    const std::vector<OnnxName> halves = split(packed, e_.config().intermediate_size, 2);
    return e_.op("Mul", {e_.activate(halves[0], e_.config().activation), halves[1]});
  }

 private:
  struct Rope {
    OnnxName cos, sin;  // [1, 1, S, d]
  };

  OnnxName transpose(const OnnxName& x, const std::vector<int64_t>& order) {
    return e_.op("Transpose", {x}, {{"perm", order}});
  }

  // [B, S, count * size] -> count times [B, S, size]
  std::vector<OnnxName> split(const OnnxName& x, int64_t size, int64_t count) {
    std::vector<OnnxName> parts;
    for (int64_t i = 0; i < count; ++i) parts.push_back(e_.new_name("Split"));
    e_.node("Split", kOnnxDomain,
            {x, e_.ints(std::vector<int64_t>(static_cast<size_t>(count), size))}, parts,
            {{"axis", int64_t{-1}}});
    return parts;
  }

  // [B, S, H] -> [B, A, S, d]
  OnnxName by_head(const OnnxName& x) {
    const ModelConfig& c = e_.config();
    return transpose(e_.reshape(x, {0, 0, c.num_heads, c.head_dim()}), {0, 2, 1, 3});
  }

  // Angles in fp32 whatever the activations are: fp16 cannot count beyond 2048.
  const Rope& angles(double theta) {
    const auto [at, added] = angles_.try_emplace(theta);
    if (!added) return at->second;
    const int64_t half = e_.config().head_dim() / 2;
    std::vector<float> inverse;
    for (int64_t k = 0; k < half; ++k) {
      inverse.push_back(rope_inverse_frequency<float>(theta, 2 * half, k));
    }
    const OnnxName name = fmt::format("inv_freq_{:.17g}", theta);
    e_.write([&] {
      return e_.weights().values(name, inverse, std::array<int64_t, 3>{1, half, 1}, OnnxType::f32);
    });
    const OnnxName positions = e_.unsqueeze(e_.cast(masks_.rows(), OnnxType::f32), {0, 1});
    const OnnxName angle = transpose(e_.op("MatMul", {name, positions}), {0, 2, 1});
    const OnnxName twice = e_.op("Concat", {angle, angle}, {{"axis", int64_t{-1}}});
    const auto wave = [&](std::string_view which) {
      const OnnxName wide = e_.unsqueeze(e_.op(which, {twice}), {1});
      return e_.type() == OnnxType::f32 ? wide : e_.cast(wide, e_.type());
    };
    at->second.cos = wave("Cos");
    at->second.sin = wave("Sin");
    return at->second;
  }

  // Halves (a, b) of a head become (a cos - b sin, b cos + a sin).
  OnnxName rotated(const OnnxName& x, const Rope& rope) {
    const int64_t half = e_.config().head_dim() / 2;
    const OnnxName a = e_.slice(x, 3, 0, half), b = e_.slice(x, 3, half, INT64_MAX);
    const OnnxName turned = e_.op("Concat", {e_.op("Neg", {b}), a}, {{"axis", int64_t{-1}}});
    return e_.op("Add", {e_.op("Mul", {x, rope.cos}), e_.op("Mul", {turned, rope.sin})});
  }

  OnnxEmitter& e_;
  OnnxMasks& masks_;
  std::map<double, Rope> angles_;
};

}  // namespace

std::unique_ptr<OnnxLayers> make_portable_layers(OnnxEmitter* emitter, OnnxMasks* masks) {
  return std::make_unique<PortableLayers>(emitter, masks);
}

}  // namespace ettin
