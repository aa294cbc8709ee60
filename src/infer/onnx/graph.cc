#include "infer/onnx/graph.h"

#include <fmt/format.h>

#include "infer/onnx/style.h"

namespace ettin {
namespace {

class Graph {
 public:
  Graph(const ModelFolder& folder, OnnxFormat format, OnnxStyle style, OnnxWriter* writer)
      : writer_(*writer),
        config_(folder.config),
        causal_(config_.arm.direction == Direction::causal),
        cached_(causal_ && config_.head == Head::language_model),
        e_(writer, folder, format, style),
        masks_(&e_, cached_),
        layers_(style == OnnxStyle::fused ? make_fused_layers(&e_, &masks_)
                                          : make_portable_layers(&e_, &masks_)) {
    if (style == OnnxStyle::fused) {
      e_.fail(check_fused_layers(config_, cached_, folder.source.where()));
    }
  }

  Status write() {
    declare_inputs();
    OnnxName x = e_.norm(e_.embed("input_ids"), "embeddings.norm");
    OnnxName normed = x;  // layer 0 has no norm of its own
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      const std::string layer = fmt::format("layers.{}", i);
      const bool last = i + 1 == config_.num_layers;
      e_.set_scope(layer);
      const OnnxName seen = layers_->attention(i, normed, cache(i));
      const OnnxName out = e_.linear(seen, layer + ".attn.Wo");
      const auto middle = layers_->add_norm(x, out, layer + ".mlp_norm", false);
      const OnnxName gated = layers_->gated(i, middle.normed);
      const OnnxName mlp = e_.linear(gated, layer + ".mlp.Wo");
      const std::string norm = last ? "final_norm" : fmt::format("layers.{}.attn_norm", i + 1);
      const auto end = layers_->add_norm(middle.sum, mlp, norm, last);
      normed = end.normed;
      x = end.sum;
      declare_present(i);
    }
    e_.set_scope("");
    head(normed);
    return e_.status();
  }

 private:
  static std::string cache_name(std::string_view which, int64_t layer, std::string_view part) {
    return fmt::format("{}.{}.{}", which, layer, part);
  }

  std::vector<OnnxDim> cache_shape(std::string_view length) const {
    return {"batch_size", config_.num_heads, std::string(length), config_.head_dim()};
  }

  void declare_inputs() {
    writer_.input("input_ids", OnnxType::i64, {"batch_size", "sequence_length"});
    writer_.input("attention_mask", OnnxType::i64,
                  {"batch_size", cached_ ? "total_sequence_length" : "sequence_length"});
    if (!cached_) return;
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      for (const char* part : {"key", "value"}) {
        writer_.input(cache_name("past_key_values", i, part), OnnxType::f32,
                      cache_shape("past_sequence_length"));
      }
    }
    writer_.input("num_logits_to_keep", OnnxType::i64, {});
  }

  bool narrow() const { return e_.type() == OnnxType::f16; }

  OnnxLayers::Cache cache(int64_t layer) {
    if (!cached_) return {};
    const auto past = [&](std::string_view part) {
      const OnnxName name = cache_name("past_key_values", layer, part);
      return narrow() ? e_.cast(name, OnnxType::f16, name + "_fp16") : name;
    };
    const auto present = [&](std::string_view part) {
      return cache_name("present", layer, part) + (narrow() ? "_fp16" : "");
    };
    return {past("key"), past("value"), present("key"), present("value")};
  }

  void declare_present(int64_t layer) {
    if (!cached_) return;
    for (const char* part : {"key", "value"}) {
      const OnnxName name = cache_name("present", layer, part);
      if (narrow()) e_.cast(name + "_fp16", OnnxType::f32, name);
      declare_output(name, cache_shape("total_sequence_length"));
    }
  }

  void declare_output(const OnnxName& name, const std::vector<OnnxDim>& shape) {
    if (e_.status().ok()) writer_.output(name, OnnxType::f32, shape);
  }

  // The graph's result, in fp32 whatever it was computed in.
  void result(const OnnxName& x, const OnnxName& name, const std::vector<OnnxDim>& shape) {
    if (narrow()) {
      e_.cast(x, OnnxType::f32, name);
    } else {
      e_.op("Identity", {x}, {}, name);
    }
    declare_output(name, shape);
  }

  // Of each sequence one row: [B, S, H] -> [B, H]
  OnnxName pooled(const OnnxName& hidden) {
    if (causal_) return last_token(hidden);
    if (config_.classifier_pooling == Pooling::cls) {
      return e_.op("Gather", {hidden, e_.integer(0)}, {{"axis", int64_t{1}}});
    }
    // In fp32: sums of thousands of tokens leave the range of fp16.
    const OnnxName wide = narrow() ? e_.cast(hidden, OnnxType::f32) : hidden;
    const OnnxName mask = e_.cast(e_.unsqueeze("attention_mask", {2}), OnnxType::f32);  // [B, S, 1]
    const auto sum = [&](const OnnxName& x) {
      return e_.op("ReduceSum", {x, e_.ints({1})}, {{"keepdims", int64_t{0}}});
    };
    const OnnxName mean = e_.op("Div", {sum(e_.op("Mul", {wide, mask})), sum(mask)});
    return narrow() ? e_.cast(mean, OnnxType::f16) : mean;
  }

  // The last token that is not padding, wherever the padding is.
  OnnxName last_token(const OnnxName& hidden) {
    const OnnxName mask = e_.cast("attention_mask", OnnxType::i32);
    const OnnxName at =
        e_.op("ArgMax", {mask},
              {{"axis", int64_t{1}}, {"keepdims", int64_t{1}}, {"select_last_index", int64_t{1}}});
    return e_.op("GatherND", {hidden, at}, {{"batch_dims", int64_t{1}}});
  }

  OnnxName prediction(const OnnxName& x) {
    const OnnxName dense = e_.linear(x, "head.dense");
    return e_.norm(e_.activate(dense, config_.classifier_activation), "head.norm");
  }

  void head(OnnxName hidden) {
    switch (config_.head) {
      case Head::none:
        return result(hidden, "last_hidden_state",
                      {"batch_size", "sequence_length", config_.hidden_size});
      case Head::language_model:
        if (cached_) {
          // [-n, end) of the tokens; -0 is all of them.
          const OnnxName from = e_.op("Neg", {e_.unsqueeze("num_logits_to_keep", {0})});
          hidden = e_.op("Slice", {hidden, from, e_.ints({INT64_MAX}), e_.ints({1})});
        }
        return result(
            e_.linear(prediction(hidden), "decoder"), "logits",
            {"batch_size", cached_ ? "logits_length" : "sequence_length", config_.vocab_size});
      case Head::sequence_classification:
        return result(e_.linear(prediction(pooled(hidden)), "classifier"), "logits",
                      {"batch_size", config_.num_labels});
      case Head::token_classification:
        return result(e_.linear(prediction(hidden), "classifier"), "logits",
                      {"batch_size", "sequence_length", config_.num_labels});
    }
  }

  OnnxWriter& writer_;
  const ModelConfig& config_;
  const bool causal_, cached_;
  OnnxEmitter e_;
  OnnxMasks masks_;
  std::unique_ptr<OnnxLayers> layers_;
};

}  // namespace

Status write_onnx_graph(const ModelFolder& folder, OnnxFormat format, OnnxStyle style,
                        OnnxWriter* writer) {
  return Graph(folder, format, style, writer).write();
}

}  // namespace ettin
