// Which checkpoint a run goes on from, and which are removed.
#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "train/checkpoint.h"
#include "train/test_checkpoints.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;
using test::kRecipe;
using test::make_tensors;
using test::small_config;
using test::TempDir;
using test::write_step;

const ModelConfig kConfig = small_config(kDecoder);

std::string names(const std::string& folder) {
  const auto found = list_checkpoints(folder, false);
  EXPECT_TRUE(found.ok());
  std::string all;
  for (const FoundCheckpoint& c : *found) all += fs::path(c.path).filename().string() + " ";
  return all;
}

void spoil(const std::string& path, const std::string& name = "model.safetensors") {
  const std::string file = path + "/" + name;
  std::string text = test::slurp(file);
  text[text.size() / 2] ^= 1;
  std::ofstream(file, std::ios::binary) << text;
}

struct Resumed {
  std::optional<FoundCheckpoint> from;
  std::vector<std::string> warnings;
  TrainState state;
  TrainTensors tensors = make_tensors(kConfig, 1);
  Status status;

  explicit Resumed(const std::string& folder) {
    auto found =
        resume_from_newest(folder, kConfig, {kDecoder, kRecipe}, &state, &tensors, &warnings);
    status = found.status();
    if (found.ok()) from = *std::move(found);
  }
};

TEST(CheckpointList, NothingIsThere) {
  const TempDir dir(test::memory_folder());
  const Resumed resumed(dir.path() + "/checkpoints");
  EXPECT_TRUE(resumed.status.ok());
  EXPECT_FALSE(resumed.from);
}

TEST(CheckpointList, OldestFirstAcrossPhases) {
  const TempDir dir(test::memory_folder());
  // state_at() makes the run's step of the phase's, so the tags' order is that of the steps.
  for (const auto& [step, tag] : std::vector<std::pair<int64_t, std::string>>{
           {20, "step"}, {10'000'000, "decay"}, {9, "step"}, {300, "ext"}}) {
    ASSERT_TRUE(write_step(dir.path(), kConfig, step, tag).ok());
  }
  dir.write("step0000021/config.json", "{}");  // no checksums: not complete
  dir.write("notes.txt", "mine");
  dir.write("step12/x", "no checkpoint's name");
  dir.write(".tmp-step0000030-77/model.safetensors", "half");
  dir.write(".trash-step0000001-77/model.safetensors", "half");
  EXPECT_EQ(names(dir.path()), "step0000009 step0000020 ext0000300 decay10000000 ");
  const auto found = list_checkpoints(dir.path(), true);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->back().tag, "decay");
  EXPECT_EQ(found->back().step, 10'000'100);
  const auto left = list_folder(dir.path(), false);
  EXPECT_EQ(left->size(), 7u);
  EXPECT_FALSE(fs::exists(dir.path() + "/.tmp-step0000030-77"));
  EXPECT_FALSE(fs::exists(dir.path() + "/.trash-step0000001-77"));
}

TEST(CheckpointList, ResumesFromTheNewestThatIsWhole) {
  const TempDir dir(test::memory_folder());
  for (const int64_t step : {1, 2, 3, 4}) ASSERT_TRUE(write_step(dir.path(), kConfig, step).ok());
  {
    const Resumed resumed(dir.path());
    ASSERT_TRUE(resumed.from) << resumed.status.to_string();
    EXPECT_TRUE(test::is_of_step(kConfig, resumed.state, resumed.tensors, 4));
    EXPECT_TRUE(resumed.warnings.empty());
  }
  spoil(dir.path() + "/step0000004");
  spoil(dir.path() + "/step0000003", "training_state.json");
  {
    const Resumed resumed(dir.path());
    ASSERT_TRUE(resumed.from) << resumed.status.to_string();
    EXPECT_TRUE(test::is_of_step(kConfig, resumed.state, resumed.tensors, 2));
    ASSERT_EQ(resumed.warnings.size(), 2u);
    const std::string all = resumed.warnings[0] + resumed.warnings[1];
    for (const char* part : {"step0000004/model.safetensors", "step0000003/training_state.json",
                             "damaged", "going on from", "/step0000002 instead, step 102"}) {
      EXPECT_NE(all.find(part), std::string::npos) << part << " in " << all;
    }
  }
  // The step that was damaged is written again, over it.
  ASSERT_TRUE(write_step(dir.path(), kConfig, 4).ok());
  EXPECT_TRUE(test::is_of_step(kConfig, Resumed(dir.path()).state, Resumed(dir.path()).tensors, 4));
  EXPECT_EQ(list_folder(dir.path(), false)->size(), 4u);
  for (const int64_t step : {1, 2, 4}) spoil(fmt::format("{}/step{:07}", dir.path(), step));
  const Resumed resumed(dir.path());
  EXPECT_EQ(resumed.status.code(), StatusCode::bad_data);  // and not a new beginning
  EXPECT_EQ(resumed.warnings.size(), 4u);
}

TEST(CheckpointList, RetentionKeepsTheNewestAndEachTagsLast) {
  const TempDir dir(test::memory_folder());
  for (const int64_t step : {1, 2, 3}) ASSERT_TRUE(write_step(dir.path(), kConfig, step).ok());
  for (const int64_t step : {4, 5, 6}) {
    ASSERT_TRUE(write_step(dir.path(), kConfig, step, "ext").ok());
  }
  ASSERT_TRUE(apply_retention(dir.path(), 0).ok());
  EXPECT_EQ(list_folder(dir.path(), false)->size(), 6u);
  ASSERT_TRUE(apply_retention(dir.path(), 2).ok());
  EXPECT_EQ(names(dir.path()), "step0000003 ext0000005 ext0000006 ");
  ASSERT_TRUE(apply_retention(dir.path(), 1).ok());
  EXPECT_EQ(names(dir.path()), "step0000003 ext0000006 ");
  EXPECT_EQ(list_folder(dir.path(), false)->size(), 2u);
}

TEST(CheckpointList, RetentionNeverRemovesTheOnlyWholeOne) {
  const TempDir dir(test::memory_folder());
  for (const int64_t step : {1, 2, 3, 4}) ASSERT_TRUE(write_step(dir.path(), kConfig, step).ok());
  spoil(dir.path() + "/step0000004");
  spoil(dir.path() + "/step0000003");
  ASSERT_TRUE(apply_retention(dir.path(), 1).ok());
  EXPECT_EQ(names(dir.path()), "step0000002 step0000004 ");
  const Resumed resumed(dir.path());
  EXPECT_TRUE(resumed.status.ok());
  EXPECT_TRUE(test::is_of_step(kConfig, resumed.state, resumed.tensors, 2));
}

}  // namespace
}  // namespace ettin
