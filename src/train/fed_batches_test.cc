// Batches of the past, from the data and the log alone.
#include "train/fed_batches.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/test_files.h"
#include "formats/mds_writer.h"
#include "train/objective.h"

namespace ettin {
namespace {

using test::TempDir;

constexpr int64_t kLength = 40, kCount = 10, kBatch = 4;

// Sequence i: [CLS], then 38 ids that depend on i and `salt`, [SEP].
void write_set(const std::string& folder, const Tokenizer& tokenizer, int32_t salt) {
  std::filesystem::create_directories(folder);
  auto writer = MdsWriter::create(folder, {.columns = {{"input_ids", "ndarray:uint16"}}});
  ASSERT_TRUE(writer.ok());
  for (int32_t i = 0; i < kCount; ++i) {
    std::vector<uint16_t> ids(kLength);
    ids.front() = static_cast<uint16_t>(*tokenizer.cls_id());
    ids.back() = static_cast<uint16_t>(*tokenizer.sep_id());
    for (int32_t t = 1; t < kLength - 1; ++t) {
      ids[static_cast<size_t>(t)] = static_cast<uint16_t>(300 + i * 50 + t + salt);
    }
    ASSERT_TRUE(writer
                    ->add(std::vector<MdsValue>{
                        MdsArray{MdsDtype::u16, {kLength}, std::as_bytes(std::span(ids))}})
                    .ok());
  }
  ASSERT_TRUE(writer->finish().ok());
}

class FedAgainTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string folder = ETTIN_SOURCE_DIR "/models/seedling-encoder";
    auto loaded = Tokenizer::load(folder);
    ASSERT_TRUE(loaded.ok()) << loaded.status().to_string();
    tokenizer_ = *loaded;
    write_set(dir_.path() + "/data", *tokenizer_, 0);
    recipe_.tokenizer = folder;
    recipe_.model.vocab_size = 8192;
    PhaseRecipe phase;
    phase.name = "pretrain";
    phase.max_length = kLength;
    phase.batch_sequences = kBatch;
    phase.data = {{dir_.path() + "/data", 1}};
    recipe_.phases = {phase, phase};
  }

  FedBatches batches() { return FedBatches(recipe_, tokenizer_, "run"); }

  // What the trainer would have written: cursor `first`, taken from the definition.
  DataLogEntry entry_at(int64_t first) {
    DataLogEntry entry;
    entry.step = first / kBatch + 1;
    entry.first = first;
    entry.sequences = kBatch;
    DataOrder order(recipe_.shuffle_seed, kCount, kBatch);
    const DatasetPart part{dir_.path() + "/data", 1};
    const auto data = TokenDataset::open(std::span(&part, 1), sequence_ends(*tokenizer_), 8192);
    std::vector<std::vector<int32_t>> ids;
    std::vector<FedSequence> fed;
    for (int64_t i = 0; i < kBatch; ++i)
      ids.push_back(*data->sequence(order.at(first + i), kLength));
    for (int64_t i = 0; i < kBatch; ++i) {
      fed.push_back({order.at(first + i), ids[static_cast<size_t>(i)]});
    }
    entry.batch_hash = hash_batch(fed);
    return entry;
  }

  const TempDir dir_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  Recipe recipe_;
};

TEST_F(FedAgainTest, IsWhatTheOrderSays) {
  FedBatches again = batches();
  DataOrder order(recipe_.shuffle_seed, kCount, kBatch);
  for (const int64_t first : {0, 4, 8, 12, 400, 4}) {
    const auto batch = again.batch(entry_at(first));
    ASSERT_TRUE(batch.ok()) << batch.status().to_string();
    ASSERT_EQ(batch->size(), 4u);
    for (int64_t i = 0; i < kBatch; ++i) {
      const FedAgain& one = (*batch)[static_cast<size_t>(i)];
      EXPECT_EQ(one.index, order.at(first + i));
      EXPECT_EQ(one.epoch, (first + i) / 8);
      EXPECT_EQ(one.ids[1], 301 + one.index * 50);
      EXPECT_NE(one.origin.find("shard.00000.mds"), std::string::npos);
    }
  }
}

TEST_F(FedAgainTest, OtherDataAreNotShown) {
  FedBatches again = batches();
  DataLogEntry entry = entry_at(4);
  write_set(dir_.path() + "/other", *tokenizer_, 1);
  recipe_.phases[0].data[0].path = dir_.path() + "/other";
  const Status status = batches().batch(entry).status();
  EXPECT_NE(status.message().find("run: step 2: the data that recipe.yaml names have other tokens"),
            std::string::npos)
      << status.message();
  recipe_.phases[0].data[0].path = dir_.path() + "/gone";
  EXPECT_FALSE(batches().batch(entry).ok());
  entry.first += 1;  // the log's numbers are not trusted either
  EXPECT_FALSE(again.batch(entry).ok());
  entry = entry_at(4);
  entry.sequences = int64_t{1} << 40;
  EXPECT_FALSE(again.batch(entry).ok());
  entry.phase = 7;
  EXPECT_NE(again.batch(entry).status().message().find("phase 8 of 2"), std::string::npos);
  entry = entry_at(4);
  recipe_.phases[0].data[0].path = dir_.path() + "/data";
  recipe_.phases[0].batch_sequences = 11;
  EXPECT_NE(batches().batch(entry).status().message().find("do not fill a batch of 11"),
            std::string::npos);
}

// What the arms see is what training makes of a sequence.
TEST_F(FedAgainTest, ExamplesAreThoseOfTraining) {
  FedBatches again = batches();
  const DataLogEntry entry = entry_at(8);
  const auto batch = again.batch(entry);
  ASSERT_TRUE(batch.ok());
  for (const Arm& arm : {kEncoder, kDecoder}) {
    for (const FedAgain& one : *batch) {
      const auto example = again.example(entry, one, arm);
      ASSERT_TRUE(example.ok()) << example.status().to_string();
      auto rule = objective_rule(recipe_, arm, *tokenizer_);
      ASSERT_TRUE(rule.ok());
      rule->masking.rate = recipe_.phases[0].mask_rate;
      TrainingBatch trained;
      append_sequence(*rule, {recipe_.seed, 0, one.epoch, one.index}, one.ids, &trained);
      EXPECT_EQ(example->inputs, trained.batch.token_ids);
      EXPECT_EQ(example->targets, trained.targets.ids);
      for (size_t i = 0; i < example->positions.size(); ++i) {
        EXPECT_EQ(example->positions[i], trained.targets.rows[i] + (arm == kDecoder ? 1 : 0));
        EXPECT_EQ(example->targets[i], one.ids[static_cast<size_t>(example->positions[i])]);
      }
      EXPECT_EQ(example->inputs == one.ids, arm == kDecoder);
    }
  }
}

}  // namespace
}  // namespace ettin
