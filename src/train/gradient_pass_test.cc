// What a pass takes, against what the plan says that it will take.
#include "train/gradient_pass.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/test_backends.h"
#include "train/init_weights.h"
#include "train/plan.h"

namespace ettin {
namespace {

constexpr double kHugePage = 2 << 20;  // what an arena's block is rounded to

ModelConfig config_of(int64_t layers) {
  ModelConfig c;
  c.arm = kDecoder;
  c.vocab_size = 128;
  c.hidden_size = 128;
  c.intermediate_size = 192;
  c.num_layers = layers;
  c.num_heads = 2;
  c.max_positions = 512;
  c.window_each_side = c.causal_window_keys = 64;
  for (int64_t i = 0; i < layers; ++i) c.layer_is_global.push_back(i % 3 == 0);
  return c;
}

TEST(GradientPass, TakesTheMemoryThatThePlanSays) {
  const ModelConfig config = config_of(8);
  const auto backend = must_make({.name = "cpu", .threads = 2});
  Parameters values = make_parameters(config, Dtype::f32);
  init_weights(config, 1, backend->threads(), &values);
  const TrainedNetwork trained = make_trained_network(config, backend, std::move(values));
  Microbatch m;
  std::vector<int32_t> ids(512);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 7 % 128);
  for (int64_t n = 0; n < 4; ++n) {
    append_sequence({.objective = Objective::clm}, {1, 0, 0, n}, ids, &m.data);
  }
  m.scale = 1 / static_cast<double>(m.data.targets.ids.size());
  for (const bool recompute : {false, true}) {
    GradientPass pass(config, Dtype::f32);
    // The second pass has its memory in one piece.
    for (int i = 0; i < 2; ++i) pass.run(trained, std::span(&m, 1), {.recompute = recompute});
    const auto planned = static_cast<double>(activation_bytes(config, 2048, recompute));
    const auto taken = static_cast<double>(pass.activation_bytes());
    EXPECT_LE(std::abs(taken - planned), 0.02 * planned + kHugePage)
        << "recompute " << recompute << ": planned " << planned << ", taken " << taken;
  }
}

}  // namespace
}  // namespace ettin
