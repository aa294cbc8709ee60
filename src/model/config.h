// The shape of the network, resolved: every optional key of config.json has its written rule
// applied here and nowhere else. Direction lives in Arm, files live in formats/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "ettin/status.h"
#include "formats/hf_config.h"
#include "model/arm.h"

namespace ettin {

// What stands on top of the backbone.
enum class Head : uint8_t { none, language_model, sequence_classification, token_classification };
std::string_view head_name(Head head);
std::string_view activation_name(Activation activation);

struct ModelConfig {
  Arm arm = kEncoder;
  Head head = Head::language_model;

  int64_t vocab_size = 0;         // V
  int64_t hidden_size = 0;        // H
  int64_t intermediate_size = 0;  // I: MLP width after gating
  int64_t num_layers = 0;         // L
  int64_t num_heads = 0;          // A
  int64_t max_positions = 0;      // refuse longer inputs; the maths itself has no limit

  Activation activation = Activation::gelu;             // of the MLP's activated half
  Activation classifier_activation = Activation::gelu;  // of the prediction head's dense layer
  double norm_eps = 1e-5;
  bool norm_bias = false, attention_bias = false, mlp_bias = false;
  bool decoder_bias = true, classifier_bias = false;
  bool tie_word_embeddings = true;

  std::vector<bool> layer_is_global;  // [L]
  double global_rope_theta = 160000;
  double local_rope_theta = 10000;
  std::string rope_reason = "as released";  // why these two, for people
  int64_t window_each_side = 64;            // bidirectional local layers: |i - j| <= this
  int64_t causal_window_keys = 64;          // causal local layers: this many keys, itself included

  Pooling classifier_pooling = Pooling::cls;
  int64_t num_labels = 2;
  std::vector<std::string> labels;  // [num_labels], id2label or LABEL_i
  std::string problem_type;         // "", "regression", "multi_label_classification", ...

  bool q8_rotated = false;  // the file's q8 matrices are rotated (tensor/hadamard.h)

  int64_t head_dim() const { return hidden_size / num_heads; }
  double rope_theta(int64_t layer) const {
    return layer_is_global[static_cast<size_t>(layer)] ? global_rope_theta : local_rope_theta;
  }
  AttentionSpec attention(int64_t layer) const {
    return attention_spec(arm.direction, layer_is_global[static_cast<size_t>(layer)],
                          window_each_side, causal_window_keys);
  }
};

// Applies the rules (defaults per model type, old and new spelling, theta resolution). Remarks that
// a user should see, such as an assumed theta, are appended to *warnings.
Result<ModelConfig> resolve_config(const HfConfig& file, std::vector<std::string>* warnings);

// Rope thetas that a user asks for, in place of all others.
struct AskedThetas {
  std::optional<double> global, local;

  bool both() const { return global && local; }
};
// An error names the one that is out of range.
Status override_thetas(const AskedThetas& asked, ModelConfig* c);

// The config of a published size, "17m" ... "1b", as released (theta 160000 everywhere).
Result<ModelConfig> published_config(std::string_view size, Arm arm);

}  // namespace ettin
