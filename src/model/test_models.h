// Small random models for tests: as networks, and as directories in every spelling that is read.
#pragma once

#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "formats/safetensors.h"
#include "formats/test_torch_file.h"
#include "model/heads.h"
#include "model/load.h"

namespace ettin {
inline void PrintTo(const Arm& arm, std::ostream* out) { *out << arm.name; }  // in test names
}  // namespace ettin

namespace ettin::test {

// Five layers (0 and 3 global), two heads of 16, and windows that are shorter than the sequences.
inline ModelConfig tiny_config(Arm arm, Head head = Head::language_model) {
  ModelConfig c;
  c.arm = arm;
  c.head = head;
  c.vocab_size = 97;
  c.hidden_size = 32;
  c.intermediate_size = 24;
  c.num_layers = 5;
  c.num_heads = 2;
  c.max_positions = 512;
  c.window_each_side = 4;
  c.causal_window_keys = 4;
  for (int64_t i = 0; i < c.num_layers; ++i) c.layer_is_global.push_back(i % 3 == 0);
  c.num_labels = 3;
  c.q8_rotated = true;
  c.labels = {"no", "maybe", "yes"};
  return c;
}

// Every tensor of the config with values of a natural size, as a model file would hold it.
struct TinyWeights {
  std::vector<std::pair<std::string, std::vector<uint64_t>>> shapes;
  std::vector<std::vector<float>> values;

  explicit TinyWeights(const ModelConfig& config, uint64_t seed = 1) {
    uint64_t stream = 0;
    const auto add = [&](std::string name, std::vector<uint64_t> shape, double middle,
                         double spread) {
      size_t count = 1;
      for (const uint64_t d : shape) count *= d;
      std::vector<float> v(count);
      for (size_t i = 0; i < count; ++i) {
        v[i] = static_cast<float>(middle + spread * (2 * random_uniform(seed, stream, i) - 1));
      }
      ++stream;
      shapes.emplace_back(std::move(name), std::move(shape));
      values.push_back(std::move(v));
    };
    for_each_tensor(config, [&](const TensorSpec& spec) {
      const auto rows = static_cast<uint64_t>(spec.rows), cols = static_cast<uint64_t>(spec.cols);
      const bool backbone = spec.name.starts_with("embeddings") ||
                            spec.name.starts_with("layers") || spec.name.starts_with("final");
      const std::string name = (backbone ? "model." : "") + spec.name;
      if (spec.is_norm) {
        add(name + ".weight", {cols}, 1, 0.1);
      } else if (!spec.tied) {
        add(name + ".weight", {rows, cols}, 0, 0.35);
      }
      if (spec.bias) add(name + ".bias", {spec.is_norm ? cols : rows}, 0, 0.5);
    });
  }

  // Views of the values under their names; valid as long as this object.
  std::vector<StoredTensor> tensors() const {
    std::vector<StoredTensor> result;
    for (size_t i = 0; i < shapes.size(); ++i) {
      result.push_back(
          {shapes[i].first, Dtype::f32, shapes[i].second, std::as_bytes(std::span(values[i]))});
    }
    return result;
  }
};

// The weights as a trainer saves them: "model.bert.encoder.layers." and so on, lm_head.* of a
// decoder. `config`: see composer_pickle().
inline std::string composer_file(const ModelConfig& config, const TinyWeights& weights,
                                 std::string_view own_config = "}") {
  std::vector<SavedTensor> saved;
  std::vector<std::string> storages;
  for (size_t i = 0; i < weights.shapes.size(); ++i) {
    SavedTensor& t = saved.emplace_back();
    std::string name = weights.shapes[i].first;
    if (name.starts_with("model.layers.")) {
      name = "bert.encoder." + name.substr(6);
    } else if (name.starts_with("model.")) {
      name = "bert." + name.substr(6);
    } else if (config.arm == kDecoder && name.starts_with("head.")) {
      name = "lm_" + name;
    }
    t.name = "model." + name;
    t.key = std::to_string(i);
    t.elements = static_cast<int64_t>(weights.values[i].size());
    t.shape.clear();
    for (const uint64_t d : weights.shapes[i].second) t.shape.push_back(static_cast<int64_t>(d));
    t.strides = t.shape.size() == 2 ? std::vector<int64_t>{t.shape[1], 1} : std::vector<int64_t>{1};
    storages.emplace_back(reinterpret_cast<const char*>(weights.values[i].data()),
                          weights.values[i].size() * sizeof(float));
  }
  return make_zip(torch_items(composer_pickle(saved, "", own_config), storages));
}

inline Network tiny_network(const ModelConfig& config, std::shared_ptr<const Backend> backend,
                            uint64_t seed = 1) {
  const TinyWeights weights(config, seed);
  const TensorSource source = TensorSource::from_tensors(weights.tensors(), nullptr, "tiny");
  std::vector<std::string> warnings;
  auto network = build_network(config, std::move(backend), source, {}, &warnings);
  EXPECT_TRUE(network.ok()) << network.status().to_string();
  EXPECT_TRUE(warnings.empty());
  return *std::move(network);
}

// config.json in the spelling of the published repositories.
inline std::string config_json(const ModelConfig& c) {
  const bool decoder = c.arm == kDecoder;
  std::string architecture = decoder ? "ModernBertDecoderForCausalLM" : "ModernBertForMaskedLM";
  const std::string stem = decoder ? "ModernBertDecoder" : "ModernBert";
  if (c.head == Head::none) architecture = stem + "Model";
  if (c.head == Head::sequence_classification) architecture = stem + "ForSequenceClassification";
  if (c.head == Head::token_classification) architecture = stem + "ForTokenClassification";
  std::string labels;
  for (size_t i = 0; i < c.labels.size(); ++i) {
    labels += fmt::format("{}\"{}\": \"{}\"", i == 0 ? "" : ", ", i, c.labels[i]);
  }
  return fmt::format(
      R"({{"model_type": "{}", "architectures": ["{}"], "vocab_size": {}, "hidden_size": {},
"intermediate_size": {}, "num_hidden_layers": {}, "num_attention_heads": {},
"max_position_embeddings": {}, "local_attention": {}, "global_attn_every_n_layers": 3,
"global_rope_theta": {:.1f}, "local_rope_theta": {:.1f}, "id2label": {{{}}}, "eos_token_id": 1}})",
      decoder ? "modernbert-decoder" : "modernbert", architecture, c.vocab_size, c.hidden_size,
      c.intermediate_size, c.num_layers, c.num_heads, c.max_positions, 2 * c.window_each_side,
      c.global_rope_theta, c.local_rope_theta, labels);
}

// The hidden states and all logits of sequences, run as one batch.
struct TinyOutput {
  std::vector<float> hidden, logits;
  friend bool operator==(const TinyOutput& a, const TinyOutput& b) {
    const auto same = [](const std::vector<float>& x, const std::vector<float>& y) {
      return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
    };
    return same(a.hidden, b.hidden) && same(a.logits, b.logits);
  }
};

// Two sequences as one batch: the hidden states, and the logits of three rows.
inline TinyOutput run(const Network& network) {
  std::vector<int32_t> ids(40);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((i * 31 + 5) % 97);
  Batch batch;
  batch.append(std::span(ids).first(13));
  batch.append(std::span(ids).subspan(13));
  Arena arena;
  const View hidden = backbone_forward(network, batch, {}, arena);
  TinyOutput out;
  out.hidden.resize(static_cast<size_t>(hidden.rows * hidden.cols));
  network.backend->copy_to_host(hidden, std::span(out.hidden));
  if (network.config.head == Head::language_model) {
    const std::vector<int64_t> rows = {0, 12, 39};
    const View logits = vocab_logits(network, hidden, rows, arena);
    out.logits.resize(static_cast<size_t>(logits.rows * logits.cols));
    network.backend->copy_to_host(logits, std::span(out.logits));
  }
  return out;
}

}  // namespace ettin::test
