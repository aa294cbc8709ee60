// The schedules against values worked out by hand and those of the published configurations.
#include "train/schedule.h"

#include <gtest/gtest.h>

#include <array>
#include <map>

#include "base/file.h"
#include "base/json.h"

namespace ettin {
namespace {

constexpr int64_t kTokens = 50'000'000'000;

TEST(Schedule, OneMinusSqrtOverAWholePhase) {
  constexpr std::array<double, 6> kAt = {0, 0.01, 0.25, 0.5, 0.75, 1};
  const std::map<double, std::array<double, 6>> expected = {
      {0.5, {1, 0.95, 0.75, 0.646446609, 0.566987298, 0.5}},
      {0.04, {1, 0.904, 0.52, 0.321177490, 0.168615612, 0.04}}};
  for (const auto& [final_factor, values] : expected) {
    const Schedule s{ScheduleKind::one_minus_sqrt, 0, kTokens, final_factor};
    for (size_t i = 0; i < kAt.size(); ++i) {
      const auto t = static_cast<int64_t>(kAt[i] * static_cast<double>(kTokens));
      EXPECT_NEAR(schedule_factor(s, kTokens, t), values[i], 5e-10) << final_factor << " " << i;
    }
    EXPECT_EQ(schedule_factor(s, kTokens, kTokens + 1000000), final_factor) << "never below";
  }
}

TEST(Schedule, WarmupStableLinearDecay) {
  // Cross-objective training: 3 B tokens up, the last 10 B down to 0.02.
  const Schedule s{ScheduleKind::linear, 3'000'000'000, 10'000'000'000, 0.02};
  const auto at = [&](int64_t t) { return schedule_factor(s, kTokens, t); };
  EXPECT_DOUBLE_EQ(at(0), 1e-10) << "the first step already moves";
  EXPECT_DOUBLE_EQ(at(1'500'000'000), 0.5 + 0.5e-10);
  EXPECT_EQ(at(3'000'000'000), 1);
  EXPECT_EQ(at(39'999'999'999), 1);
  EXPECT_EQ(at(40'000'000'000), 1);
  EXPECT_DOUBLE_EQ(at(45'000'000'000), 0.51);
  EXPECT_NEAR(at(50'000'000'000), 0.02, 1e-15);
}

TEST(Schedule, CosineAndConstant) {
  const Schedule cosine{ScheduleKind::cosine, 0, 1000, 0.1};
  EXPECT_EQ(schedule_factor(cosine, 1000, 0), 1);
  EXPECT_NEAR(schedule_factor(cosine, 1000, 500), 0.55, 1e-12);
  EXPECT_NEAR(schedule_factor(cosine, 1000, 250), 0.1 + 0.45 * (1 + std::sqrt(0.5)), 1e-12);
  EXPECT_NEAR(schedule_factor(cosine, 1000, 1000), 0.1, 1e-12);
  EXPECT_NEAR(schedule_factor(cosine, 1000, 1500), 0.1, 1e-12) << "does not come up again";
  const Schedule constant{ScheduleKind::constant, 10, 0, 0};
  EXPECT_EQ(schedule_factor(constant, 1000, 10), 1);
  EXPECT_EQ(schedule_factor(constant, 1000, 5000), 1);
}

TEST(Schedule, LearningRatesOfTheGoldenRun) {
  const std::string path = ETTIN_SHARED_DIR "/data/golden/torch/training.json";
  if (!file_exists(path)) GTEST_SKIP() << "SKIPPED: " << path << " is not there";
  const Result<Json> file = parse_json_file(path);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  for (const char* size : {"micro", "tiny"}) {
    const Json& run = (*file)[size];
    const auto at_peak = (*file)["peak_lr"].get<double>();
    PhaseRecipe first, second;
    first.learning_rate = second.learning_rate = at_peak;
    first.schedule.warmup_tokens = (*file)["warmup_tokens"].get<int64_t>();
    first.tokens = int64_t{1} << 40;
    second.tokens = run["phase2_tokens"].get<int64_t>();
    second.schedule = {ScheduleKind::one_minus_sqrt, 0, second.tokens,
                       (*file)["alpha"].get<double>()};
    int64_t t = 0;
    const auto steps = static_cast<size_t>((*file)["phase1_steps"].get<int64_t>());
    for (size_t k = 0; k < run["lr"].size(); ++k) {
      if (k == steps) t = 0;
      const double expected = run["lr"][k].get<double>();
      EXPECT_NEAR(learning_rate_at(k < steps ? first : second, t), expected, 1e-12 * at_peak)
          << size << " step " << k;
      t += run["tokens"][k].get<int64_t>();
    }
  }
}

TEST(BatchWarmup, EverySizeTakesTheSameNumberOfSteps) {
  PhaseRecipe phase;
  phase.batch_sequences = 40;
  phase.microbatch_sequences = 10;
  phase.batch_warmup_from = 10;
  phase.batch_warmup_tokens = 600;  // sizes 1, 2, 3 in microbatches: ends at 100, 300, 600
  const auto at = [&](int64_t t) { return batch_sequences_at(phase, t); };
  EXPECT_EQ(at(0), 10);
  EXPECT_EQ(at(99), 10);
  EXPECT_EQ(at(100), 20);
  EXPECT_EQ(at(299), 20);
  EXPECT_EQ(at(300), 30);
  EXPECT_EQ(at(599), 30);
  EXPECT_EQ(at(600), 40);
  phase.batch_warmup_tokens = 605;  // 100.83.. is rounded up
  EXPECT_EQ(at(100), 10);
  EXPECT_EQ(at(101), 20);
  phase.batch_warmup_tokens = 0;
  EXPECT_EQ(at(0), 40);
}

TEST(BatchWarmup, OfThe150mPaperRecipeNeedsAboutAsManyStepsAsTheMeanSays) {
  // 50 B tokens from 72 to 4608 sequences of 615.4 tokens: the mean of 72 .. 4536 is 2304, so
  // 50e9 / (2304 * 615.4) = 35.3 k steps.
  PhaseRecipe phase;
  phase.batch_sequences = 4608;
  phase.microbatch_sequences = phase.batch_warmup_from = 72;
  phase.batch_warmup_tokens = 50'000'000'000;
  int64_t steps = 0;
  for (double t = 0; t < 50e9; ++steps) {
    t += static_cast<double>(batch_sequences_at(phase, static_cast<int64_t>(t))) * 615.4;
  }
  EXPECT_NEAR(static_cast<double>(steps), 50e9 / (2304 * 615.4), 70);
}

}  // namespace
}  // namespace ettin
