// Checkpoints read back to the bit, load as models, and are refused when anything about them is not
// as it was written.
#include "train/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include <gtest/gtest.h>

#include "backend/test_backends.h"
#include "base/file.h"
#include "model/model_folder.h"
#include "text/tokenizer.h"
#include "train/state_json.h"
#include "train/test_checkpoints.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;
using test::kRecipe;
using test::make_tensors;
using test::small_config;
using test::state_at;
using test::TempDir;
using test::write_step;

const ModelConfig kConfig = small_config(kEncoder);
const CheckpointIdentity kIdentity{kEncoder, kRecipe};

Status read(const std::string& path, TrainState* state, TrainTensors* tensors) {
  return read_checkpoint(path, kConfig, kIdentity, state, tensors);
}

TEST(Checkpoint, ReadsBackToTheBit) {
  for (const Arm& arm : {kEncoder, kDecoder}) {
    const TempDir dir(test::memory_folder());
    const ModelConfig config = small_config(arm);
    TrainTensors written = make_tensors(config, 5);
    auto* first = written.values.data->as<float>();
    first[0] = std::numeric_limits<float>::quiet_NaN();
    first[1] = -0.0f;
    first[2] = std::numeric_limits<float>::denorm_min();
    const CheckpointIdentity identity{arm, kRecipe};
    TrainState before = state_at(5);
    before.recent_norms.push_back(std::numeric_limits<double>::infinity());
    before.recent_norms.push_back(-0.1);
    const auto path = write_checkpoint(dir.path() + "/checkpoints", "step", config, "", identity,
                                       before, written);
    ASSERT_TRUE(path.ok()) << path.status().to_string();
    EXPECT_EQ(*path, dir.path() + "/checkpoints/step0000005");
    TrainTensors tensors = make_tensors(config, 6);
    TrainState state;
    const Status status = read_checkpoint(*path, config, identity, &state, &tensors);
    ASSERT_TRUE(status.ok()) << status.to_string();
    EXPECT_TRUE(test::same(state, before));
    EXPECT_TRUE(test::same(config, tensors, written));
  }
}

TEST(Checkpoint, LoadsAsAModelOfItsClass) {
  for (const Arm& arm : {kEncoder, kDecoder}) {
    const TempDir dir(test::memory_folder());
    const ModelConfig config = small_config(arm);
    const auto path = write_step(dir.path(), config, 5);
    ASSERT_TRUE(path.ok()) << path.status().to_string();
    const auto files = find_model_files(*path);
    ASSERT_TRUE(files.ok());
    std::vector<std::string> warnings;
    auto folder = read_model_folder(*files, &warnings);
    ASSERT_TRUE(folder.ok()) << folder.status().to_string();
    // Its config.json is believed: the name step... says nothing about a trainer of our own.
    EXPECT_EQ(warnings, std::vector<std::string>());
    EXPECT_EQ(folder->config.global_rope_theta, config.global_rope_theta);
    EXPECT_EQ(folder->source.find("model.layers.0.attn.q_proj.weight") != nullptr, arm == kDecoder);
    EXPECT_EQ(folder->source.find("lm_head.dense.weight") != nullptr, arm == kDecoder);
    EXPECT_EQ(folder->source.find("model.layers.0.attn.Wqkv.weight") != nullptr, arm == kEncoder);
    EXPECT_EQ(folder->source.find("decoder.weight"), nullptr);  // tied
    // The rows that the trainer has as one matrix, in order.
    const TrainTensors tensors = make_tensors(config, 5);
    for (const FoundTensor& found : folder->plan) {
      if (found.spec.name != "layers.1.attn.Wqkv") continue;
      std::vector<double> row(8);
      for (int64_t r = 0; r < 24; ++r) {
        read_row(found.blocks, r, row);
        EXPECT_EQ(static_cast<float>(row[3]), tensors.values.layers[1].qkv.weight.row<float>(r)[3]);
      }
    }
  }
}

TEST(Checkpoint, HoldsTheTokenizerAndItsIds) {
  const std::string tokenizer = std::string(ETTIN_SHARED_DIR) + "/models/seedling-encoder";
  if (!directory_exists(tokenizer)) GTEST_SKIP() << "SKIPPED: no " << tokenizer;
  const TempDir dir(test::memory_folder());
  const auto path = write_checkpoint(dir.path(), "step", kConfig, tokenizer, kIdentity, state_at(5),
                                     make_tensors(kConfig, 5));
  ASSERT_TRUE(path.ok()) << path.status().to_string();
  EXPECT_EQ(test::slurp(*path + "/tokenizer.json"), test::slurp(tokenizer + "/tokenizer.json"));
  EXPECT_TRUE(Tokenizer::load(*path).ok());
  const auto json = parse_json_file(*path + "/config.json");
  ASSERT_TRUE(json.ok());
  const std::vector<std::pair<const char*, int64_t>> ids{{"bos_token_id", 8188},
                                                         {"eos_token_id", 8189},
                                                         {"cls_token_id", 8188},
                                                         {"sep_token_id", 8189},
                                                         {"pad_token_id", 8190}};
  for (const auto& [key, id] : ids) EXPECT_EQ((*json)[key], id) << key;
}

TEST(Checkpoint, IsNotReadForAnotherArmOrRecipe) {
  const TempDir dir(test::memory_folder());
  const auto path = write_step(dir.path(), kConfig, 5);
  ASSERT_TRUE(path.ok());
  TrainTensors tensors = make_tensors(kConfig, 6);
  TrainState state;
  Status status = read_checkpoint(*path, kConfig, {kDecoder, kRecipe}, &state, &tensors);
  EXPECT_NE(status.to_string().find("encoder arm, not of the decoder"), std::string::npos);
  status = read_checkpoint(*path, kConfig, {kEncoder, std::string(64, '6')}, &state, &tensors);
  EXPECT_NE(status.to_string().find("another recipe, 555555555555"), std::string::npos);
  std::vector<std::string> warnings;
  // No older one is looked for: all would be of the other recipe.
  EXPECT_EQ(resume_from_newest(dir.path(), kConfig, {kEncoder, std::string(64, '6')}, &state,
                               &tensors, &warnings)
                .status()
                .code(),
            StatusCode::invalid_argument);
  EXPECT_TRUE(test::same(kConfig, tensors, make_tensors(kConfig, 6)));
  // A model of another shape.
  ModelConfig wider = kConfig;
  wider.vocab_size = 12;
  TrainTensors other = make_tensors(wider, 6);
  status = read_checkpoint(*path, wider, kIdentity, &state, &other);
  EXPECT_NE(status.message().find("model.embeddings.tok_embeddings.weight is fp32 [11, 8], but "
                                  "should be fp32 [12, 8]"),
            std::string::npos)
      << status.message();
}

TEST(Checkpoint, NoFlippedByteIsReadAnywhere) {
  const TempDir dir(test::memory_folder());
  const auto path = write_step(dir.path(), kConfig, 5);
  ASSERT_TRUE(path.ok());
  const auto names = list_folder(*path, false);
  ASSERT_TRUE(names.ok());
  ASSERT_EQ(names->size(), 5u);
  TrainTensors tensors = make_tensors(kConfig, 6);
  TrainState state;
  size_t flips = 0;
  for (const std::string& name : *names) {
    const std::string file = *path + "/" + name, whole = test::slurp(file);
    const size_t stride = std::max<size_t>(1, whole.size() / 150);
    for (size_t at = 0; at < whole.size(); at += stride) {
      for (const char bit : {'\x01', '\x20'}) {
        std::string text = whole;
        text[at] = static_cast<char>(text[at] ^ bit);
        dir.write("step0000005/" + name, text);
        const Status status = read(*path, &state, &tensors);
        EXPECT_FALSE(status.ok()) << name << " byte " << at;
        EXPECT_NE(status.message().find(name), std::string::npos) << status.message();
        ++flips;
      }
    }
    dir.write("step0000005/" + name, whole);
  }
  EXPECT_GT(flips, 1000u);
  EXPECT_TRUE(test::same(kConfig, tensors, make_tensors(kConfig, 6)));  // untouched
  EXPECT_TRUE(read(*path, &state, &tensors).ok());
}

TEST(Checkpoint, NoTruncatedOrMissingFileIsRead) {
  const TempDir dir(test::memory_folder());
  const auto path = write_step(dir.path(), kConfig, 5);
  ASSERT_TRUE(path.ok());
  const auto names = list_folder(*path, false);
  ASSERT_TRUE(names.ok());
  TrainTensors tensors = make_tensors(kConfig, 6);
  TrainState state;
  for (const std::string& name : *names) {
    const std::string file = *path + "/" + name, whole = test::slurp(file);
    for (size_t i = 0; i < 60; ++i) {
      dir.write("step0000005/" + name, whole.substr(0, whole.size() * i / 60));
      EXPECT_FALSE(read(*path, &state, &tensors).ok()) << name << " " << i;
    }
    dir.write("step0000005/" + name, whole + " ");
    EXPECT_FALSE(read(*path, &state, &tensors).ok()) << name;
    fs::remove(file);
    EXPECT_FALSE(read(*path, &state, &tensors).ok()) << name;
    fs::create_directory(file);
    EXPECT_FALSE(read(*path, &state, &tensors).ok()) << name;
    fs::remove(file);
    dir.write("step0000005/" + name, whole);
  }
  EXPECT_TRUE(read(*path, &state, &tensors).ok());
}

// Whoever can make a file can make its checksum: what is inside is checked all the same.
TEST(Checkpoint, ForgedStatesAreErrors) {
  const std::string good = state_to_json(kIdentity, state_at(5));
  ASSERT_TRUE(state_from_json(good, "f").ok());
  const std::vector<std::pair<std::string, std::string>> changes{
      {"\"step\": 105", "\"step\": -1"},
      {"\"step\": 105", "\"step\": 9223372036854775807"},
      {"\"step\": 105", "\"step\": 1.5"},
      {"\"step\": 105", "\"step\": \"105\""},
      {"\"phase\": 1", "\"Phase\": 1"},
      {"\"version\": 1", "\"version\": 2"},
      {"0x1.5555555555555p-2", "0x1.5555555555555p-2 "},
      {"0x1.5555555555555p-2", "0.3"},
      {"0x1.5555555555555p-2", "--1"},
      {"0x1.5555555555555p-2", ""},
      {"aaaaaaaa", "aaaaaaaA"},
      {"aaaaaaaa", "aaaa"},
      {"\"encoder\"", "7"},
  };
  for (const auto& [from, to] : changes) {
    std::string text = good;
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    EXPECT_FALSE(state_from_json(text, "f").ok()) << from << " as " << to;
  }
}

}  // namespace
}  // namespace ettin
