// The keys of a recipe, once: reading and writing are visitors of the same walk, so they cannot
// disagree. What each key means: recipe.h and docs/recipes.md.
//
// A visitor has a method per kind of value; `Range` says what is accepted.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

#include "train/recipe.h"

namespace ettin {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// Numbers from `least` to `most`; the ends belong to it unless said otherwise.
struct Range {
  double least = 0, most = kNoLimit;
  bool above_least = false, below_most = false;
};
constexpr Range kPositive{0, kNoLimit, true, false};
constexpr Range kShare{0, 1, false, false};
constexpr Range kInsideShare{0, 1, true, true};

struct IntegerRange {
  int64_t least = 0, most = int64_t{1} << 62;
};
constexpr IntegerRange kAtLeastOne{1, int64_t{1} << 62};
constexpr IntegerRange kSize{1, int64_t{1} << 24};

template <class E>
using Choices = std::span<const std::pair<std::string_view, E>>;

inline constexpr std::array<std::pair<std::string_view, ScheduleKind>, 4> kScheduleKinds{{
    {"constant", ScheduleKind::constant},
    {"linear", ScheduleKind::linear},
    {"cosine", ScheduleKind::cosine},
    {"one_minus_sqrt", ScheduleKind::one_minus_sqrt},
}};
inline constexpr std::array<std::pair<std::string_view, OptimizerKind>, 2> kOptimizerKinds{{
    {"stable_adamw", OptimizerKind::stable_adamw},
    {"adamw", OptimizerKind::adamw},
}};
inline constexpr std::array<std::pair<std::string_view, LossNorm>, 2> kLossNorms{{
    {"token_mean", LossNorm::token_mean},
    {"microbatch_mean", LossNorm::microbatch_mean},
}};
inline constexpr std::array<std::pair<std::string_view, MaskedPrediction>, 2> kMaskedPredictions{{
    {"mlm", MaskedPrediction::mlm},
    {"mntp", MaskedPrediction::mntp},
}};
inline constexpr std::array<std::pair<std::string_view, WeightFormat>, 2> kTrainingFormats{{
    {"bf16", WeightFormat::bf16},
    {"fp32", WeightFormat::f32},
}};
// As Hugging Face's config.json spells them.
inline constexpr std::array<std::pair<std::string_view, Activation>, 6> kActivationNames{{
    {"gelu", Activation::gelu},
    {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"silu", Activation::silu},
    {"relu", Activation::relu},
    {"tanh", Activation::tanh},
    {"linear", Activation::identity},
}};

// Windows and layers as config.json has them, beside the ModelConfig they come from and go to.
struct ModelLayout {
  int64_t global_every = 3;       // layers i % global_every == 0 are global
  int64_t local_attention = 128;  // twice the neighbours on each side
};

template <class V, class M, class Layout>
void visit_model(V& v, M& m, Layout& layout) {
  v.integer("vocab_size", m.vocab_size, kSize);
  v.integer("hidden_size", m.hidden_size, IntegerRange{1, 1 << 16});
  v.integer("intermediate_size", m.intermediate_size, IntegerRange{1, 1 << 18});
  v.integer("num_hidden_layers", m.num_layers, IntegerRange{1, 1024});
  v.integer("num_attention_heads", m.num_heads, IntegerRange{1, 1 << 16});
  v.integer("max_position_embeddings", m.max_positions, IntegerRange{0, 1 << 24});
  v.integer("global_attn_every_n_layers", layout.global_every, IntegerRange{1, 1024});
  v.integer("local_attention", layout.local_attention, IntegerRange{2, 1 << 24});
  v.integer("causal_window_keys", m.causal_window_keys, IntegerRange{1, 1 << 24});
  v.choice("hidden_activation", m.activation, Choices<Activation>(kActivationNames));
  v.choice("classifier_activation", m.classifier_activation, Choices<Activation>(kActivationNames));
  v.number("norm_eps", m.norm_eps, kInsideShare);
  v.flag("norm_bias", m.norm_bias);
  v.flag("attention_bias", m.attention_bias);
  v.flag("mlp_bias", m.mlp_bias);
  v.flag("classifier_bias", m.classifier_bias);
  v.flag("decoder_bias", m.decoder_bias);
  v.flag("tie_word_embeddings", m.tie_word_embeddings);
}

template <class V, class O>
void visit_optimizer(V& v, O& o) {
  v.choice("kind", o.kind, Choices<OptimizerKind>(kOptimizerKinds));
  v.number("beta1", o.beta1, Range{0, 1, false, true});
  v.number("beta2", o.beta2, Range{0, 1, false, true});
  v.number("eps", o.eps, kPositive);
  v.number("learning_rate", o.learning_rate, kPositive);
  v.number("weight_decay", o.weight_decay, Range{0, 1, false, true});
  v.optional_number("clip_norm", o.clip_norm, kPositive);
}

template <class V, class P>
void visit_phase(V& v, P& p, double peak) {
  v.text("tag", p.tag);
  v.sources("data", p.data);
  v.integer("max_length", p.max_length, IntegerRange{2, 1 << 24});
  v.integer("tokens", p.tokens, kAtLeastOne);
  v.number_of("learning_rate", p.learning_rate, peak, kPositive);
  v.section("schedule", [&](auto& s) {
    s.choice("decay", p.schedule.decay, Choices<ScheduleKind>(kScheduleKinds));
    s.tokens_of("warmup_tokens", p.schedule.warmup_tokens, p.tokens);
    s.tokens_of("decay_tokens", p.schedule.decay_tokens, p.tokens);
    s.number("final_factor", p.schedule.final_factor, kShare);
  });
  v.number("mask_rate", p.mask_rate, kInsideShare);
  v.number("global_rope_theta", p.global_rope_theta, Range{1, 1e12});
  v.number("local_rope_theta", p.local_rope_theta, Range{1, 1e12});
  v.integer("batch_sequences", p.batch_sequences, kSize);
  v.integer("microbatch_sequences", p.microbatch_sequences, IntegerRange{0, kSize.most});
  v.integer("virtual_microbatch", p.virtual_microbatch, IntegerRange{0, kSize.most});
  v.integer("batch_warmup_from", p.batch_warmup_from, IntegerRange{0, kSize.most});
  v.tokens_of("batch_warmup_tokens", p.batch_warmup_tokens, p.tokens);
  v.flag("fresh_optimizer", p.fresh_optimizer);
  v.tokens_of("checkpoint_tokens", p.checkpoint_tokens, p.tokens);
}

template <class V, class A>
void visit_arm(V& v, A& a) {
  v.path("init_from", a.init_from);
  v.named("phases", a.phases, [](auto& phase, auto& p) {
    phase.optional_number("global_rope_theta", p.global_rope_theta, Range{1, 1e12});
    phase.optional_number("local_rope_theta", p.local_rope_theta, Range{1, 1e12});
  });
}

template <class V, class R, class Layout>
void visit_recipe(V& v, R& r, Layout& layout) {
  v.text("name", r.name);
  v.path("tokenizer", r.tokenizer);
  v.path("init_from", r.init_from);
  v.unsigned_integer("seed", r.seed);
  v.unsigned_integer("shuffle_seed", r.shuffle_seed);
  v.section("model", [&](auto& m) { visit_model(m, r.model, layout); });
  v.section("optimizer", [&](auto& o) { visit_optimizer(o, r.optimizer); });
  v.choice("loss_norm", r.loss_norm, Choices<LossNorm>(kLossNorms));
  v.integer("virtual_ranks", r.virtual_ranks, IntegerRange{0, 4096});
  v.choice("masked_prediction", r.masked_prediction, Choices<MaskedPrediction>(kMaskedPredictions));
  v.number("attention_out_dropout", r.attention_out_dropout, Range{0, 1, false, true});
  v.flag("pad_row_quirk", r.pad_row_quirk);
  v.choice("dtype", r.dtype, Choices<WeightFormat>(kTrainingFormats));
  v.flag("recompute", r.recompute);
  v.integer("keep_checkpoints", r.keep_checkpoints, IntegerRange{});
  v.flag("stop_on_nonfinite", r.stop_on_nonfinite);
  v.number("spike_factor", r.spike_factor, Range{});
  v.named("phases", r.phases,
          [&](auto& phase, auto& p) { visit_phase(phase, p, r.optimizer.learning_rate); });
  v.section("validation", [&](auto& w) {
    w.sources("data", r.validation.data);
    w.integer("every_tokens", r.validation.every_tokens, IntegerRange{});
    w.integer("sequences", r.validation.sequences, kAtLeastOne);
  });
  v.section("arms", [&](auto& arms) {
    arms.section("encoder", [&](auto& a) { visit_arm(a, r.encoder); });
    arms.section("decoder", [&](auto& a) { visit_arm(a, r.decoder); });
  });
}

}  // namespace ettin
