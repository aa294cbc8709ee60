// The plan against the published step counts and cost model.
#include "train/plan.h"

#include <gtest/gtest.h>

namespace ettin {
namespace {

Recipe published(const std::string& size, const std::string& preset = "") {
  std::vector<std::string> presets;
  if (!preset.empty()) presets.push_back(preset);
  auto r = read_recipe(ETTIN_SOURCE_DIR "/recipes/" + size + ".yaml", {}, presets);
  EXPECT_TRUE(r.ok()) << r.status().to_string();
  return r.ok() ? *r : Recipe();
}

// Training MFLOP per token of training.md 7, at 1024 and 8192: encoder 30 %, decoder.
TEST(Plan, CostModel) {
  struct Row {
    const char* size;
    double encoder_short, encoder_long, decoder_short, decoder_long;
  };
  for (const Row& row :
       {Row{"17m", 57.7, 123.8, 106.7, 139.7}, Row{"32m", 132.7, 264.8, 203.3, 269.4},
        Row{"68m", 354.5, 662.7, 437, 591}, Row{"150m", 824.6, 1353, 943, 1208},
        Row{"400m", 2308, 3189, 2452, 2892}, Row{"1b", 6065, 7606, 6322, 7093}}) {
    const Recipe r = published(row.size);
    const auto mflops = [&](Arm arm, int64_t length) {
      return training_flops_per_token(phase_model(r, 0, arm), length, arm == kEncoder ? 0.3 : 1) /
             1e6;
    };
    // The table counts whole windows, without the ends of a sequence: a little more.
    EXPECT_NEAR(mflops(kEncoder, 1024) / row.encoder_short, 1, 0.006) << row.size;
    EXPECT_NEAR(mflops(kEncoder, 8192) / row.encoder_long, 1, 0.006) << row.size;
    EXPECT_NEAR(mflops(kDecoder, 1024) / row.decoder_short, 1, 0.006) << row.size;
    EXPECT_NEAR(mflops(kDecoder, 8192) / row.decoder_long, 1, 0.006) << row.size;
  }
}

TEST(Plan, StepsAndCheckpointsOfThePublishedTrail) {
  const Plan plan = make_plan(published("150m"), {kDecoder, {{615.37, 0}, {1845, 0}}, 200});
  ASSERT_EQ(plan.phases.size(), 3U);
  EXPECT_NEAR(static_cast<double>(plan.phases[0].steps), 599525, 200);
  EXPECT_NEAR(static_cast<double>(plan.phases[1].steps), 29400, 100);
  EXPECT_TRUE(plan.phases[1].length_is_known);
  EXPECT_FALSE(plan.phases[2].length_is_known);
  EXPECT_EQ(plan.phases[2].mean_length, 7999);
  // 200 in phase 1, 29 and the last, 5 and the last: 236.
  EXPECT_EQ(plan.phases[0].checkpoints + plan.phases[1].checkpoints + plan.phases[2].checkpoints,
            236);
  EXPECT_DOUBLE_EQ(plan.phases[0].rates.front().learning_rate, 8e-14);
  EXPECT_DOUBLE_EQ(plan.phases[1].rates.back().learning_rate, 4e-4);
  EXPECT_GE(plan.phases[0].tokens, 1'700'000'000'000);
  EXPECT_EQ(plan.parameters, 149655232);
  EXPECT_NEAR(plan.phases[0].seconds, plan.phases[0].flops / 200e9, 1);
}

TEST(Plan, ABatchWarmupAddsSteps) {
  const PlanOptions options{kEncoder, {{615.4, 0}}, 0};
  const int64_t plain = make_plan(published("150m"), options).phases[0].steps;
  const int64_t warm = make_plan(published("150m", "faithful-paper"), options).phases[0].steps;
  // "about 17,000" for the base model: 50 B tokens at a mean of half the batch.
  EXPECT_NEAR(static_cast<double>(warm - plain), 17600, 300);
}

TEST(Plan, Memory) {
  Recipe r = published("17m");
  const ModelConfig c = phase_model(r, 0, kEncoder);
  const int64_t H = 256, I = 384, A = 4, L = 7, T = 1000;
  EXPECT_EQ(activation_bytes(c, T, false), 4 * T * (L * (6 * H + A + 2 * I) + 5 * I + 10 * H));
  EXPECT_EQ(activation_bytes(c, T, true), 4 * T * (L * H + 15 * H + A + 8 * I));
  const MemoryEstimate narrow = estimate_memory(r, 0, kEncoder, T);
  EXPECT_EQ(narrow.parameters, 4 * make_plan(r, {}).parameters);
  EXPECT_EQ(narrow.moments, 2 * narrow.gradients);
  r.dtype = WeightFormat::f32;
  EXPECT_EQ(estimate_memory(r, 0, kEncoder, T).packed, 2 * narrow.packed);
  EXPECT_EQ(narrow.total(),
            narrow.parameters * 4 + narrow.packed + narrow.activations + narrow.cross_entropy);
}

TEST(Plan, TextFitsATerminal) {
  for (const char* size : {"toy", "1b"}) {
    const std::string text = format_plan(make_plan(published(size), {kEncoder, {}, 40}));
    size_t column = 0;
    for (const char ch : text) {
      column = ch == '\n' ? 0 : column + 1;
      ASSERT_LE(column, 100U) << text;
    }
    EXPECT_NE(text.find("pretrain"), std::string::npos);
    EXPECT_NE(text.find("* the data is not there"), std::string::npos);
  }
}

}  // namespace
}  // namespace ettin
