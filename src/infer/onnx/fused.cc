// Attention and norms as operators of com.microsoft: fewer nodes, which runtimes have kernels for.
#include <map>

#include <fmt/format.h>

#include "backend/rope_table.h"
#include "base/thread_pool.h"
#include "infer/onnx/style.h"

namespace ettin {
namespace {

class FusedLayers final : public OnnxLayers {
 public:
  FusedLayers(OnnxEmitter* emitter, OnnxMasks* masks) : e_(*emitter), masks_(*masks) {}

  OnnxName attention(int64_t layer, const OnnxName& x, const Cache& cache) override {
    const std::string tensor = fmt::format("layers.{}.attn.Wqkv", layer);
    const OnnxName q = e_.linear(x, tensor, {"q_proj", 0, 3});
    const OnnxName k = e_.linear(x, tensor, {"k_proj", 1, 3});
    const OnnxName v = e_.linear(x, tensor, {"v_proj", 2, 3});
    const Rope& rope = table(e_.config().rope_theta(layer));
    const OnnxAttributes heads = {{"num_heads", e_.config().num_heads}};
    if (!cache.past_key.empty()) return grouped(layer, {q, k, v}, rope, cache);
    const OnnxName mask = masks_.mask(e_.config().attention(layer), true);
    return e_.microsoft("MultiHeadAttention", {rotated(q, rope), rotated(k, rope), v, "", "", mask},
                        heads);
  }

  Sum add_norm(const OnnxName& x, const OnnxName& update, const std::string& norm,
               bool last) override {
    std::vector<OnnxName> inputs = e_.norm_weights(norm);
    inputs.insert(inputs.begin(), {x, update});
    const OnnxName normed = e_.new_name("SkipLayerNormalization");
    std::vector<OnnxName> outputs = {normed};
    if (!last) outputs.insert(outputs.end(), {"", "", normed + "_sum"});
    e_.node("SkipLayerNormalization", kMicrosoftDomain, inputs, outputs,
            {{"epsilon", e_.config().norm_eps}});
    return {normed, outputs.back()};
  }

  OnnxName gated(int64_t layer, const OnnxName& x) override {
    const std::string tensor = fmt::format("layers.{}.mlp.Wi", layer);
    const OnnxName gate = e_.linear(x, tensor, {"gate_proj", 0, 2});
    const OnnxName up = e_.linear(x, tensor, {"up_proj", 1, 2});
    return e_.op("Mul", {e_.activate(gate, e_.config().activation), up});
  }

 private:
  struct Rope {
    OnnxName cos, sin;  // [positions, d / 2]
  };

  const Rope& table(double theta) {
    const auto [at, added] = tables_.try_emplace(theta);
    if (!added) return at->second;
    const int64_t positions = e_.config().max_positions, dim = e_.config().head_dim();
    ThreadPool pool(1);
    const RopeTable rope = build_rope_table<float>(theta, dim, positions, pool);
    const auto store = [&](std::string_view which, const Buffer& values) {
      OnnxName name = fmt::format("{}_cache_{:.17g}", which, theta);
      e_.write([&] {
        return e_.weights().values(
            name, std::span(values.as<float>(), static_cast<size_t>(positions * dim / 2)),
            std::array{positions, dim / 2}, e_.type());
      });
      return name;
    };
    at->second = {store("cos", *rope.cos), store("sin", *rope.sin)};
    return at->second;
  }

  OnnxName rotated(const OnnxName& x, const Rope& rope) {
    if (positions_.empty()) {
      const OnnxName shape = e_.op("Shape", {"input_ids"});
      positions_ = e_.op("Expand", {e_.unsqueeze(masks_.rows(), {0}), shape});  // [B, S]
    }
    return e_.microsoft("RotaryEmbedding", {x, positions_, rope.cos, rope.sin});
  }

  // seqlens_k is one less than the keys of each row. The rows of a batch are equally long here:
  // padding, left or right, counts as tokens and attention_bias hides it.
  OnnxName grouped(int64_t layer, const std::array<OnnxName, 3>& qkv, const Rope& rope,
                   const Cache& cache) {
    if (lengths_.empty()) {
      total_ = e_.cast(masks_.total(), OnnxType::i32);
      const OnnxName last = e_.cast(e_.op("Sub", {masks_.total(), e_.integer(1)}), OnnxType::i32);
      lengths_ = e_.op("Expand", {last, e_.unsqueeze(masks_.batch(), {0})});  // [B]
    }
    const AttentionSpec spec = e_.config().attention(layer);
    const bool local = spec.left < AttentionSpec::kUnlimited;
    const OnnxName seen = e_.new_name("GroupQueryAttention");
    e_.node("GroupQueryAttention", kMicrosoftDomain,
            {qkv[0], qkv[1], qkv[2], cache.past_key, cache.past_value, lengths_, total_, rope.cos,
             rope.sin, "", masks_.padding(true)},
            {seen, cache.present_key, cache.present_value},
            {{"num_heads", e_.config().num_heads},
             {"kv_num_heads", e_.config().num_heads},
             {"do_rotary", int64_t{1}},
             {"local_window_size", local ? spec.left + 1 : int64_t{-1}}});
    return seen;
  }

  OnnxEmitter& e_;
  OnnxMasks& masks_;
  std::map<double, Rope> tables_;
  OnnxName positions_, lengths_, total_;
};

}  // namespace

std::unique_ptr<OnnxLayers> make_fused_layers(OnnxEmitter* emitter, OnnxMasks* masks) {
  return std::make_unique<FusedLayers>(emitter, masks);
}

Status check_fused_layers(const ModelConfig& config, bool cached, std::string_view where) {
  if (!cached || config.head_dim() % 16 == 0) return {};
  return Status(StatusCode::unsupported,
                fmt::format("{}: GroupQueryAttention takes heads of a multiple of 16 values; these "
                            "have {}",
                            where, config.head_dim()),
                "choose --style portable");
}

}  // namespace ettin
