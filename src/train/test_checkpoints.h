// Small checkpoints for tests, told apart by a seed.
#pragma once

#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/test_files.h"
#include "model/test_models.h"
#include "train/checkpoint.h"

namespace ettin::test {

inline ModelConfig small_config(Arm arm) {
  ModelConfig c = tiny_config(arm);
  c.vocab_size = 11;
  c.hidden_size = 8;
  c.intermediate_size = 4;
  c.num_layers = 2;
  c.layer_is_global = {true, false};
  c.attention_bias = true;
  return c;
}

inline void fill(const Parameters& p, uint64_t seed) {
  auto* numbers = p.data->as<float>();
  for (size_t i = 0; i < p.data->size() / sizeof(float); ++i) {
    numbers[i] = static_cast<float>(random_uniform(seed, 7, i) - 0.5);
  }
}

inline TrainTensors make_tensors(const ModelConfig& config, uint64_t seed) {
  TrainTensors t{make_parameters(config, Dtype::f32), make_parameters(config, Dtype::f32),
                 make_parameters(config, Dtype::f32)};
  fill(t.values, seed);
  fill(t.moment1, seed + 1000);
  fill(t.moment2, seed + 2000);
  return t;
}

// Tensors only; what lies between them for alignment is nobody's.
inline bool same(const ModelConfig& config, const Parameters& a, const Parameters& b) {
  bool equal = true;
  for_each_tensor(
      config,
      [&](const TensorSpec&, const Parameter& x, const Parameter& y) {
        for (const auto& [u, v] : {std::pair(x.weight, y.weight), std::pair(x.bias, y.bias)}) {
          const auto bytes = static_cast<size_t>(u.rows * u.cols) * sizeof(float);
          equal = equal && (bytes == 0 || std::memcmp(u.data, v.data, bytes) == 0);
        }
      },
      a, b);
  return equal;
}

inline bool same(const ModelConfig& config, const TrainTensors& a, const TrainTensors& b) {
  return same(config, a.values, b.values) && same(config, a.moment1, b.moment1) &&
         same(config, a.moment2, b.moment2);
}

inline TrainState state_at(int64_t step) {
  TrainState s;
  s.phase = 1;
  s.phase_step = step;
  s.phase_tokens = 1000 * step;
  s.phase_sequences = 10 * step;
  s.step = step + 100;
  s.tokens = 1000 * step + 5;
  s.optimizer_step = step + 7;
  s.skipped_steps = 3;
  s.data_chain = std::string(64, 'a');
  s.recent_norms = {1.0 / 3, 5e-324, 1.7976931348623157e308};
  return s;
}

inline bool same(const TrainState& a, const TrainState& b) {
  return a.phase == b.phase && a.phase_step == b.phase_step && a.phase_tokens == b.phase_tokens &&
         a.phase_sequences == b.phase_sequences && a.step == b.step && a.tokens == b.tokens &&
         a.optimizer_step == b.optimizer_step && a.skipped_steps == b.skipped_steps &&
         a.data_chain == b.data_chain && a.recent_norms == b.recent_norms;
}

inline const std::string kRecipe(64, '5');

// RUN/checkpoints with the checkpoint of step `step`, whose numbers come from the step.
inline Result<std::string> write_step(const std::string& folder, const ModelConfig& config,
                                      int64_t step, const std::string& tag = "step") {
  return write_checkpoint(folder, tag, config, "", {config.arm, kRecipe}, state_at(step),
                          make_tensors(config, static_cast<uint64_t>(step)));
}

// Whether what was read is whole: state and numbers of one step.
inline bool is_of_step(const ModelConfig& config, const TrainState& state,
                       const TrainTensors& tensors, int64_t step) {
  return same(state, state_at(step)) &&
         same(config, tensors, make_tensors(config, static_cast<uint64_t>(step)));
}

}  // namespace ettin::test
