// Models from training checkpoints: the shape from the tensors, rope thetas from the phase.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "backend/test_backends.h"
#include "base/test_files.h"
#include "model/model_folder.h"
#include "model/model_settings.h"
#include "model/test_models.h"
#include "model/training_phase.h"

namespace ettin::test {
namespace {

// Shapes that training could have had: heads of 64, windows of the published width.
ModelConfig small_config(Arm arm) {
  ModelConfig c = tiny_config(arm);
  c.hidden_size = 128;
  c.window_each_side = c.causal_window_keys = 64;
  c.max_positions = 7999;
  c.global_rope_theta = c.local_rope_theta = 160000;
  return c;
}

struct Read {
  ModelSettings settings;
  std::vector<std::string> warnings;
  Status status;

  const ModelConfig& config() const { return settings.config; }
  bool warns_of(std::string_view words) const {
    return std::any_of(warnings.begin(), warnings.end(),
                       [&](const auto& w) { return w.find(words) != std::string::npos; });
  }
};

Read read(const std::string& path) {
  Read out;
  Result<ModelFiles> files = find_model_files(path);
  if (!files.ok()) {
    out.status = files.status();
    return out;
  }
  Result<ModelSettings> settings = read_settings(*files, &out.warnings);
  if (settings.ok()) {
    out.settings = *std::move(settings);
  } else {
    out.status = settings.status();
  }
  return out;
}

std::string checkpoint(const ModelConfig& config, std::string_view own = "}") {
  return composer_file(config, TinyWeights(config), own);
}

TEST(Checkpoint, ComputesWhatTheSameWeightsComputeElsewhere) {
  for (const Arm& arm : {kEncoder, kDecoder}) {
    const ModelConfig config = small_config(arm);
    const TempDir folder;
    const std::string path = folder.write("ep0-ba7-rank0.pt", checkpoint(config));
    for (const std::string& named : {path, folder.path()}) {
      const auto files = find_model_files(named);
      ASSERT_TRUE(files.ok());
      EXPECT_EQ(files->checkpoint, path);
      EXPECT_EQ(files->directory, folder.path());
      std::vector<std::string> warnings;
      const auto model = read_model_folder(*files, &warnings);
      ASSERT_TRUE(model.ok()) << model.status().to_string();
      EXPECT_EQ(model->config.arm, arm);
      EXPECT_EQ(parameter_count(model->config), parameter_count(config));
      auto network =
          build_network(model->config, must_make({.name = "ref"}), model->source, {}, &warnings);
      ASSERT_TRUE(network.ok()) << network.status().to_string();
      EXPECT_TRUE(run(*network) == run(tiny_network(config, must_make({.name = "ref"}))));
    }
  }
}

TEST(Checkpoint, TheShapeIsThatOfTheTensors) {
  ModelConfig config = small_config(kDecoder);
  config.norm_bias = config.mlp_bias = true;
  config.decoder_bias = false;
  const TempDir folder;
  const Read got = read(folder.write("a.pt", checkpoint(config)));
  ASSERT_TRUE(got.status.ok()) << got.status.to_string();
  EXPECT_EQ(got.config().vocab_size, 97);
  EXPECT_EQ(got.config().hidden_size, 128);
  EXPECT_EQ(got.config().intermediate_size, 24);
  EXPECT_EQ(got.config().num_layers, 5);
  EXPECT_EQ(got.config().num_heads, 2);
  EXPECT_EQ(got.config().layer_is_global, config.layer_is_global);
  EXPECT_TRUE(got.config().norm_bias);
  EXPECT_TRUE(got.config().mlp_bias);
  EXPECT_FALSE(got.config().attention_bias);
  EXPECT_FALSE(got.config().decoder_bias);
  EXPECT_TRUE(got.settings.json["pad_token_id"].is_null());  // transformers has 50283 else
  EXPECT_EQ(got.settings.json["architectures"][0], "ModernBertDecoderForCausalLM");
  EXPECT_EQ(got.settings.json["model_type"], "modernbert-decoder");
}

// Catches: thetas of config.json for weights that never saw them.
TEST(Checkpoint, ThePhaseOfThePathDecidesTheThetas) {
  const ModelConfig config = small_config(kDecoder);
  const struct {
    const char* path;
    double global, local;
    const char* reason;
  } table[] = {
      {"step590532/ep0-ba590532-rank0.pt", 10000, 10000, "step590532 in the path: pre-training"},
      {"pretrain/ep0-ba5-rank0.pt", 10000, 10000, "pretrain in the path: pre-training"},
      {"pretrain/ext/a.pt", 160000, 160000, "ext in the path: extension"},
      {"decay/step100.pt", 10000, 10000, "step100.pt in the path: pre-training"},
      {"step1/ettin-dec-from-enc-32m/a.pt", 160000, 160000, "cross-objective"},
  };
  for (const auto& t : table) {
    const TempDir folder;
    const std::string path = folder.write(t.path, checkpoint(config));
    // The one that the released model has must not matter.
    folder.write(std::filesystem::path(t.path).parent_path().string() + "/config.json",
                 R"({"global_rope_theta": 160000.0, "local_rope_theta": 500.0})");
    const Read got = read(path);
    ASSERT_TRUE(got.status.ok()) << got.status.to_string();
    EXPECT_EQ(got.config().global_rope_theta, t.global) << t.path;
    EXPECT_EQ(got.config().local_rope_theta, t.local) << t.path;
    EXPECT_NE(got.config().rope_reason.find(t.reason), std::string::npos)
        << got.config().rope_reason;
    EXPECT_TRUE(got.warns_of("config.json; --global-rope-theta")) << t.path;
    EXPECT_EQ(got.settings.json["global_rope_theta"], t.global);
    EXPECT_EQ(got.settings.json["local_rope_theta"], t.local);
  }
}

TEST(Checkpoint, WithoutAPhaseWhatIsStatedElseAWarning) {
  const ModelConfig config = small_config(kEncoder);
  const TempDir bare, beside, own;
  const Read assumed = read(bare.write("a.pt", checkpoint(config)));
  EXPECT_EQ(assumed.config().local_rope_theta, 160000);
  EXPECT_TRUE(assumed.warns_of("nothing says the training phase"));
  // The trainer's own config, in its spelling; an unset local theta is the global one.
  Pickle trained;
  trained.raw("}").text("content").raw("}(").text("rotary_emb_base").integer(20000);
  trained.text("local_attn_rotary_emb_base").integer(-1).text("sliding_window").integer(32);
  trained.text("max_position_embeddings").integer(1024).raw("us");
  const std::string with_config = checkpoint(config, trained.str());
  const Read stated = read(own.write("a.pt", with_config));
  ASSERT_TRUE(stated.status.ok()) << stated.status.to_string();
  EXPECT_EQ(stated.config().global_rope_theta, 20000);
  EXPECT_EQ(stated.config().local_rope_theta, 20000);
  EXPECT_EQ(stated.config().window_each_side, 16);
  EXPECT_EQ(stated.config().max_positions, 1024);
  EXPECT_FALSE(stated.warns_of("training phase"));
  EXPECT_NE(stated.config().rope_reason.find("integrations"), std::string::npos);
  // config.json beside the file wins where it says something.
  beside.write("config.json", R"({"local_rope_theta": 300, "num_attention_heads": 4})");
  const Read both = read(beside.write("a.pt", with_config));
  ASSERT_TRUE(both.status.ok()) << both.status.to_string();
  EXPECT_EQ(both.config().global_rope_theta, 20000);
  EXPECT_EQ(both.config().local_rope_theta, 300);
  EXPECT_EQ(both.config().num_heads, 4);
  EXPECT_EQ(both.config().max_positions, 1024);
}

TEST(Checkpoint, AContradictionNamesBoth) {
  const ModelConfig config = small_config(kEncoder);
  const struct {
    const char* json;
    const char* words;
  } table[] = {
      {R"({"hidden_size": 768})", "\"hidden_size\" is 768"},
      {R"({"num_hidden_layers": 4})", "\"num_hidden_layers\" is 4"},
      {R"({"vocab_size": 98})", "\"vocab_size\" is 98"},
      {R"({"intermediate_size": 48})", "\"intermediate_size\" is 48"},
      {R"({"attention_bias": true})", "\"attention_bias\" is true"},
      {R"({"model_type": "modernbert-decoder"})", "\"model_type\" is \"modernbert-decoder\""},
  };
  for (const auto& t : table) {
    const TempDir folder;
    const std::string path = folder.write("a.pt", checkpoint(config));
    folder.write("config.json", t.json);
    const Read got = read(path);
    ASSERT_FALSE(got.status.ok()) << t.json;
    EXPECT_EQ(got.status.code(), StatusCode::bad_data);
    EXPECT_NE(got.status.message().find(t.words), std::string::npos) << got.status.message();
    EXPECT_NE(got.status.message().find("config.json"), std::string::npos);
    EXPECT_NE(got.status.message().find("a.pt"), std::string::npos);
  }
  // The checkpoint's own config too; a config.json beside it settles the matter.
  Pickle wrong;
  wrong.raw("}").text("vocab_size").integer(96).raw("s");
  const TempDir folder;
  const std::string path = folder.write("a.pt", checkpoint(config, wrong.str()));
  EXPECT_NE(read(path).status.message().find("\"vocab_size\" is 96"), std::string::npos);
  folder.write("config.json", R"({"vocab_size": 97})");
  EXPECT_TRUE(read(path).status.ok());
}

TEST(Checkpoint, WhatTheTensorsDoNotSayMustBeStated) {
  const TempDir narrow, bare;
  const Read heads = read(narrow.write("a.pt", checkpoint(tiny_config(kEncoder))));
  EXPECT_NE(heads.status.message().find("number of heads"), std::string::npos);
  narrow.write("config.json", R"({"num_attention_heads": 2})");
  EXPECT_TRUE(read(narrow.path()).status.ok());

  ModelConfig headless = small_config(kEncoder);
  headless.head = Head::none;
  const std::string path = bare.write("a.pt", checkpoint(headless));
  EXPECT_NE(read(path).status.message().find("no tensor tells an encoder"), std::string::npos);
  bare.write("config.json", R"({"model_type": "modernbert-decoder"})");
  const Read got = read(path);
  ASSERT_TRUE(got.status.ok()) << got.status.to_string();
  EXPECT_EQ(got.config().arm, kDecoder);
  EXPECT_EQ(got.config().head, Head::none);
}

TEST(Checkpoint, OtherFilesAreRefused) {
  const TempDir folder;
  const Read other = read(folder.write("a.pt", good_torch_file()));
  EXPECT_NE(other.status.message().find("no tensor model.embeddings"), std::string::npos);
  const Read huge = [&] {
    SavedTensor t;
    t.name = "model.layers.99999999999999999999.x";
    return read(folder.write(
        "b.pt", make_zip(torch_items(composer_pickle({t}, ""), {floats({0, 1, 2, 3, 4, 5})}))));
  }();
  EXPECT_FALSE(huge.status.ok());
  EXPECT_EQ(read(folder.path() + "/none.pt").status.code(), StatusCode::not_found);
}

// Catches: a folder's name that changes what its config.json says.
TEST(TrainingPhase, AFoldersNameIsNoMoreThanAHint) {
  ModelConfig config = small_config(kEncoder);
  for (const char* name : {"step590532", "step-1", "main"}) {
    const TempDir folder;
    folder.write(std::string(name) + "/config.json", config_json(config));
    folder.write(std::string(name) + "/model.safetensors", "");
    const Read got = read(folder.path() + "/" + name);
    ASSERT_TRUE(got.status.ok()) << got.status.to_string();
    EXPECT_EQ(got.config().global_rope_theta, 160000);
    EXPECT_EQ(got.warns_of("the folder's name step590532"), name == std::string("step590532"));
  }
}

TEST(TrainingPhase, IsSaidByWholeWords) {
  for (const char* name : {"step590532", "step-1", "pretrain", "pre-training", "pretraining_1"}) {
    EXPECT_EQ(phase_of(name), Phase::pre_training) << name;
  }
  EXPECT_EQ(phase_of("ext1000"), Phase::extension);
  EXPECT_EQ(phase_of("extension.old"), Phase::extension);
  EXPECT_EQ(phase_of("decay_100"), Phase::decay);
  for (const char* name :
       {"steps", "stepping-stones", "external", "decayed", "main", "", "my-ext", "pretrained"}) {
    EXPECT_EQ(phase_of(name), Phase::unknown) << name;
  }
}

// The table of the published training configs; a row forgotten is a model that answers nonsense.
TEST(TrainingPhase, ThetasAreThoseOfTheTable) {
  const auto thetas = [](std::string_view size, Arm arm, Phase phase, bool cross = false) {
    const auto config = published_config(size, arm);
    TrainingPhase said;
    said.phase = phase;
    said.cross_objective = cross;
    const Thetas t = phase_thetas(said, *config).value_or(Thetas{});
    return fmt::format("{:.0f}/{:.0f}", t.global, t.local);
  };
  const std::string low = "10000/10000", mixed = "160000/10000", high = "160000/160000";
  for (const char* size : {"17m", "32m", "68m", "150m", "400m", "1b"}) {
    const bool smallest = size == std::string_view("17m");
    const bool wide = size == std::string_view("150m") || size == std::string_view("1b");
    for (const Arm& arm : {kEncoder, kDecoder}) {
      EXPECT_EQ(thetas(size, arm, Phase::pre_training), low) << size << arm.name;
      EXPECT_EQ(thetas(size, arm, Phase::extension), smallest ? mixed : high) << size << arm.name;
      EXPECT_EQ(thetas(size, arm, Phase::pre_training, true), high) << size << arm.name;
      EXPECT_EQ(thetas(size, arm, Phase::unknown), "0/0");
    }
    EXPECT_EQ(thetas(size, kEncoder, Phase::decay), high) << size;
    EXPECT_EQ(thetas(size, kDecoder, Phase::decay), wide ? high : mixed) << size;
  }
}

}  // namespace
}  // namespace ettin::test
