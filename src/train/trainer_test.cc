// The loop in one process; whole runs from outside are in tests/training.
#include "train/trainer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/file.h"
#include "base/test_files.h"
#include "formats/mds_writer.h"
#include "train/data_log.h"

namespace ettin {
namespace {

constexpr char kTokenizer[] = ETTIN_SOURCE_DIR "/models/seedling-encoder";

void write_set(const std::string& folder) {
  std::filesystem::create_directories(folder);
  auto writer = MdsWriter::create(folder, {.columns = {{"input_ids", "ndarray:uint16"}}});
  ASSERT_TRUE(writer.ok());
  for (uint16_t i = 0; i < 12; ++i) {
    std::vector<uint16_t> ids;
    for (uint16_t t = 0; t < 10 + i; ++t) ids.push_back(static_cast<uint16_t>(300 + t * (i + 1)));
    ASSERT_TRUE(writer
                    ->add(std::vector<MdsValue>{
                        MdsArray{MdsDtype::u16, {ids.size()}, std::as_bytes(std::span(ids))}})
                    .ok());
  }
  ASSERT_TRUE(writer->finish().ok());
}

class TrainerTest : public testing::Test {
 protected:
  void SetUp() override {
    write_set(dir_.path() + "/data");
    const std::string recipe = dir_.path() + "/recipe.yaml";
    ASSERT_TRUE(write_file_atomic(recipe, fmt::format(R"(
name: smallest
tokenizer: {}
dtype: bf16
model: {{vocab_size: 8192, hidden_size: 64, intermediate_size: 32, num_hidden_layers: 2,
  num_attention_heads: 1, max_position_embeddings: 64, global_attn_every_n_layers: 2,
  local_attention: 8, causal_window_keys: 4}}
optimizer: {{learning_rate: 1e-3, weight_decay: 1e-4}}
phases:
  pretrain: {{tag: step, data: data, max_length: 16, tokens: 200, mask_rate: 0.3,
    batch_sequences: 4, microbatch_sequences: 2, checkpoint_tokens: 100}}
  decay: {{tag: decay, data: data, max_length: 32, tokens: 150, mask_rate: 0.15,
    schedule: {{decay: linear, decay_tokens: 100%, final_factor: 0.1}},
    batch_sequences: 3, microbatch_sequences: 3}}
validation: {{data: data, every_tokens: 100, sequences: 4}}
)",
                                                      kTokenizer))
                    .ok());
    Result<Recipe> read = read_recipe(recipe, {});
    ASSERT_TRUE(read.ok()) << read.status().to_string();
    recipe_ = *std::move(read);
  }

  TrainOutcome run(const std::string& name, int threads, int64_t stop_at_step = 0) {
    TrainOptions options;
    options.run_folder = dir_.path() + "/" + name;
    options.threads = threads;
    options.stop_at_step = stop_at_step;
    Result<TrainOutcome> outcome = train(recipe_, options, observer_);
    EXPECT_TRUE(outcome.ok()) << outcome.status().to_string();
    return outcome.ok() ? *outcome : TrainOutcome();
  }

  struct Observer : TrainObserver {
    void stepped(const StepMetrics& m) override { losses.push_back(m.loss); }
    void validated(const ValidationMetrics&) override { ++validations; }
    void saved(const std::string& path) override { checkpoints.push_back(path); }
    std::vector<double> losses;
    std::vector<std::string> checkpoints;
    int validations = 0;
  };

  test::TempDir dir_;
  Recipe recipe_;
  Observer observer_;
};

TEST_F(TrainerTest, ResumedOnMoreThreadsItIsTheSameRun) {
  const TrainOutcome whole = run("whole", 1);
  EXPECT_TRUE(whole.finished);
  EXPECT_GE(whole.state.phase_tokens, 150);
  EXPECT_EQ(whole.state.phase, 1);
  EXPECT_GE(observer_.validations, 3);
  EXPECT_EQ(read_data_log(dir_.path() + "/whole")->back().chain, whole.state.data_chain);
  const std::vector<double> losses = observer_.losses;
  ASSERT_EQ(static_cast<int64_t>(losses.size()), whole.state.step);

  observer_ = Observer();
  EXPECT_FALSE(run("parts", 2, 3).finished);
  const TrainOutcome parts = run("parts", 2);
  EXPECT_TRUE(parts.finished);
  EXPECT_EQ(observer_.losses, losses);
  const auto weights = [](const TrainOutcome& outcome) {
    return *read_file(outcome.checkpoint + "/model.safetensors", size_t{64} << 20);
  };
  EXPECT_TRUE(weights(whole) == weights(parts));
  // Once more there is nothing to do.
  EXPECT_EQ(run("parts", 2).state.step, whole.state.step);
}

TEST_F(TrainerTest, FindsWhatIsMissingBeforeTheFirstStep) {
  recipe_.phases[1].data[0].path = dir_.path() + "/nowhere";
  TrainOptions options;
  options.run_folder = dir_.path() + "/run";
  const Result<TrainOutcome> outcome = train(recipe_, options, observer_);
  ASSERT_FALSE(outcome.ok());
  EXPECT_NE(outcome.status().message().find("nowhere"), std::string::npos);
  EXPECT_FALSE(directory_exists(options.run_folder));
}

TEST_F(TrainerTest, SaysThatNothingWasHeldOut) {
  const std::string empty = dir_.path() + "/empty";
  std::filesystem::create_directories(empty);
  ASSERT_TRUE(write_file_atomic(empty + "/index.json", R"({"shards": [], "version": 2})").ok());
  recipe_.validation.data[0].path = empty;
  TrainOptions options;
  options.run_folder = dir_.path() + "/run";
  const Result<TrainOutcome> outcome = train(recipe_, options, observer_);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.status().message(), "validation.data: it holds no sequences");
  EXPECT_TRUE(observer_.losses.empty());
}

TEST_F(TrainerTest, FindsADamagedIdBeforeTheFirstStep) {
  // The last token of the last sequence, which this short run would never be fed.
  const std::string shard = dir_.path() + "/data/shard.00000.mds";
  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) - 1);
  std::ofstream(shard, std::ios::app | std::ios::binary) << '\xff';
  recipe_.phases[0].tokens = 1;
  TrainOptions options;
  options.run_folder = dir_.path() + "/run";
  options.stop_at_step = 1;
  const Result<TrainOutcome> outcome = train(recipe_, options, observer_);
  ASSERT_FALSE(outcome.ok());
  EXPECT_NE(outcome.status().message().find("phases.pretrain.data: " + shard), std::string::npos)
      << outcome.status().message();
  EXPECT_TRUE(observer_.losses.empty());
  EXPECT_FALSE(directory_exists(options.run_folder));
}

}  // namespace
}  // namespace ettin
