// How a step is cut into microbatches, and what the loss of each counts for.
#include "train/phase_data.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "base/test_files.h"
#include "data/data_order.h"
#include "formats/mds_writer.h"
#include "train/phase_lengths.h"

namespace ettin {
namespace {

constexpr int64_t kCount = 24;

// Sequence i has i + 2 tokens, each 10 + i; a decoder predicts i + 1 of them.
void write_set(const std::string& folder) {
  std::filesystem::create_directories(folder);
  auto writer = MdsWriter::create(folder, {.columns = {{"input_ids", "ndarray:uint16"}}});
  ASSERT_TRUE(writer.ok());
  for (uint16_t i = 0; i < kCount; ++i) {
    const std::vector<uint16_t> ids(i + 2u, static_cast<uint16_t>(10 + i));
    ASSERT_TRUE(writer
                    ->add(std::vector<MdsValue>{
                        MdsArray{MdsDtype::u16, {ids.size()}, std::as_bytes(std::span(ids))}})
                    .ok());
  }
  ASSERT_TRUE(writer->finish().ok());
}

class PhaseDataTest : public testing::Test {
 protected:
  void SetUp() override {
    write_set(dir_.path() + "/data");
    recipe_.model.vocab_size = 100;
    PhaseRecipe phase;
    phase.name = "pretrain";
    phase.max_length = 64;
    phase.batch_sequences = 12;
    phase.microbatch_sequences = 4;
    phase.data = {{dir_.path() + "/data", 1}};
    recipe_.phases = {phase};
  }

  PhaseData open() {
    const ObjectiveRule clm{.objective = Objective::clm};
    Result<PhaseData> data = PhaseData::open(recipe_, 0, clm, SequenceEnds());
    EXPECT_TRUE(data.ok()) << data.status().to_string();
    return *std::move(data);
  }

  // Numbers of a microbatch's sequences, from their tokens.
  static std::vector<int64_t> sequences_of(const Microbatch& m) {
    std::vector<int64_t> numbers;
    for (size_t n = 0; n + 1 < m.data.batch.starts.size(); ++n) {
      numbers.push_back(m.data.batch.token_ids[static_cast<size_t>(m.data.batch.starts[n])] - 10);
    }
    return numbers;
  }

  static double targets_of(const std::vector<int64_t>& sequences) {
    return std::accumulate(sequences.begin(), sequences.end(), 0.0) +
           static_cast<double>(sequences.size());
  }

  test::TempDir dir_;
  Recipe recipe_;
};

TEST_F(PhaseDataTest, TokenMeanInTheOrderOfThePermutation) {
  PhaseData data = open();
  const std::vector<uint32_t> order = epoch_permutation(recipe_.shuffle_seed, kCount);
  const Result<StepData> step = data.step(12, 12);
  ASSERT_TRUE(step.ok());
  ASSERT_EQ(step->microbatches.size(), 3u);
  std::vector<int64_t> fed;
  for (const Microbatch& m : step->microbatches) {
    EXPECT_DOUBLE_EQ(m.scale, 1.0 / static_cast<double>(step->targets));
    for (const int64_t number : sequences_of(m)) fed.push_back(number);
  }
  EXPECT_EQ(fed, std::vector<int64_t>(order.begin() + 12, order.end()));
  EXPECT_EQ(static_cast<double>(step->targets), targets_of(fed));
  EXPECT_EQ(step->tokens, step->targets + 12);
  EXPECT_EQ(step->epoch, 0);
  EXPECT_EQ(data.step(24, 12)->epoch, 1);
}

// The original's machines: two ranks take every other sequence, three at a time.
TEST_F(PhaseDataTest, MicrobatchMeanOfAVirtualLayout) {
  recipe_.loss_norm = LossNorm::microbatch_mean;
  recipe_.virtual_ranks = 2;
  recipe_.phases[0].virtual_microbatch = 3;
  recipe_.phases[0].microbatch_sequences = 2;  // groups of 3 run as 2 and 1
  const std::vector<uint32_t> order = epoch_permutation(recipe_.shuffle_seed, kCount);
  const Result<StepData> step = open().step(0, 12);
  ASSERT_TRUE(step.ok());
  ASSERT_EQ(step->microbatches.size(), 8u);
  size_t at = 0;
  for (const auto& [first, rank] : {std::pair{0, 0}, {0, 1}, {6, 0}, {6, 1}}) {
    std::vector<int64_t> group;
    for (int i = 0; i < 3; ++i) {
      group.push_back(order[static_cast<size_t>(first + 2 * i + rank)]);
    }
    std::vector<int64_t> fed;
    for (int part = 0; part < 2; ++part, ++at) {
      const Microbatch& m = step->microbatches[at];
      EXPECT_DOUBLE_EQ(m.scale, 3.0 / 12 / targets_of(group));
      for (const int64_t number : sequences_of(m)) fed.push_back(number);
    }
    EXPECT_EQ(fed, group);
  }
}

TEST_F(PhaseDataTest, TooFewSequencesForAStep) {
  recipe_.phases[0].batch_sequences = 25;
  const ObjectiveRule clm{.objective = Objective::clm};
  const Result<PhaseData> data = PhaseData::open(recipe_, 0, clm, SequenceEnds());
  ASSERT_FALSE(data.ok());
  EXPECT_NE(data.status().message().find("24 sequences, a step needs 25"), std::string::npos)
      << data.status().message();
}

TEST_F(PhaseDataTest, LengthsAreThoseOfTheRun) {
  recipe_.phases[0].tokens = 120;
  recipe_.phases.push_back(recipe_.phases[0]);
  recipe_.phases[1].data = {{dir_.path() + "/nowhere", 1}};
  const auto lengths = measure_lengths(recipe_);
  ASSERT_TRUE(lengths.ok()) << lengths.status().to_string();
  PhaseData data = open();
  int64_t tokens = 0, sequences = 0, largest = 0;
  for (int64_t cursor = 0; tokens < 120; cursor += 12) {
    const auto step = data.step(cursor, 12);
    ASSERT_TRUE(step.ok());
    for (const Microbatch& m : step->microbatches) {
      largest = std::max(largest, m.data.batch.tokens());
    }
    tokens += step->tokens;
    sequences += 12;
  }
  EXPECT_DOUBLE_EQ((*lengths)[0].mean,
                   static_cast<double>(tokens) / static_cast<double>(sequences));
  EXPECT_EQ((*lengths)[0].largest_microbatch, largest);
  EXPECT_EQ((*lengths)[1].mean, 0);
}

}  // namespace
}  // namespace ettin
