// Reading, overlaying, checking and writing recipes, and the recipes that are published with ettin.
#include "train/recipe.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "base/test_files.h"
#include "model/weights.h"
#include "train/recipe_reader.h"
#include "train/schedule.h"

namespace ettin {
namespace {

const std::string kRecipes = ETTIN_SOURCE_DIR "/recipes/";

constexpr std::string_view kSmall = R"(name: small
model:
  vocab_size: 512
  hidden_size: 64
  intermediate_size: 96
  num_hidden_layers: 4
  num_attention_heads: 1
optimizer: {learning_rate: 1e-3}
phases:
  one:
    max_length: 64
    tokens: 10k
    batch_sequences: 8
    microbatch_sequences: 4
  two:
    max_length: 128
    tokens: 20k
    batch_sequences: 8
    data: shards
)";

class RecipeFiles : public ::testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view text) const {
    return files_.write(name, text);
  }
  Result<Recipe> read(std::string_view text, std::vector<std::string> settings = {}) {
    return read_recipe(write("r.yaml", text), settings);
  }
  // "message | hint" of kSmall with a setting, without the folder.
  std::string error_with(const std::string& setting) { return error_of(kSmall, {setting}); }
  std::string error_of(std::string_view text, std::vector<std::string> settings = {}) {
    const auto recipe = read(text, std::move(settings));
    if (recipe.ok()) return "read";
    std::string all = recipe.status().message() + " | " + recipe.status().hint();
    for (size_t at; (at = all.find(folder_.string() + "/")) != std::string::npos;) {
      all.erase(at, folder_.string().size() + 1);
    }
    return all;
  }

  test::TempDir files_;
  const std::filesystem::path folder_ = files_.path();
};

TEST(ParseCount, WholeNumbersWithSuffixes) {
  EXPECT_EQ(parse_count("4608"), 4608);
  EXPECT_EQ(parse_count("4e9"), 4'000'000'000);
  EXPECT_EQ(parse_count("1.7T"), 1'700'000'000'000);
  EXPECT_EQ(parse_count("16.666667B"), 16'666'667'000);
  EXPECT_EQ(parse_count("83.333B"), 83'333'000'000);
  EXPECT_EQ(parse_count("512k"), 512'000);
  EXPECT_EQ(parse_count("8M"), 8'000'000);
  EXPECT_EQ(parse_count("1.5e+3"), 1500);
  EXPECT_EQ(parse_count("1500e-2"), 15);
  EXPECT_EQ(parse_count("0"), 0);
  for (const char* bad : {"", "k", "1.5", "-3", "4e19", "1e30", "0x10", "1 000", "1.2.3", "4e",
                          "9999999999999999999", "1.0005k", "inf", "e5", ".", "4eB"}) {
    EXPECT_EQ(parse_count(bad), std::nullopt) << bad;
  }
}

TEST_F(RecipeFiles, DefaultsAndWhatFollowsFromOthers) {
  const auto r = read(kSmall);
  ASSERT_TRUE(r.ok()) << r.status().to_string();
  EXPECT_EQ(r->name, "small");
  EXPECT_EQ(r->shuffle_seed, 21U);
  EXPECT_EQ(r->model.max_positions, 128);
  EXPECT_EQ(r->model.causal_window_keys, 65);
  EXPECT_EQ(r->model.layer_is_global, (std::vector<bool>{true, false, false, true}));
  ASSERT_EQ(r->phases.size(), 2U);
  EXPECT_EQ(r->phases[0].name, "one");
  EXPECT_EQ(r->phases[0].tag, "one");
  EXPECT_EQ(r->phases[0].learning_rate, 1e-3);
  EXPECT_EQ(r->phases[1].microbatch_sequences, 8);
  EXPECT_EQ(r->phases[1].data[0].path, (folder_ / "shards").string());
}

TEST_F(RecipeFiles, OverlaysAndSettings) {
  write("base.yaml", kSmall);
  const std::string path = write("sub/mine.yaml", R"(extends: ../base.yaml
phases:
  one: null
  two:
    learning_rate: 50%
    schedule: {warmup_tokens: 5%, decay: linear, decay_tokens: 15k}
    data: [a, {path: ../b, weight: 0.5}]
presets:
  wide: {model: {hidden_size: 128}}
)");
  const std::vector<std::string> settings{"phases.*.mask_rate=0.2", "seed=7",
                                          "phases.two.batch_sequences=4"};
  const std::vector<std::string> presets{"wide"};
  const auto r = read_recipe(path, settings, presets);
  ASSERT_TRUE(r.ok()) << r.status().to_string();
  ASSERT_EQ(r->phases.size(), 1U);
  EXPECT_EQ(r->name, "small") << "the base says it";
  EXPECT_EQ(r->model.hidden_size, 128);
  EXPECT_EQ(r->seed, 7U);
  const PhaseRecipe& two = r->phases[0];
  EXPECT_EQ(two.learning_rate, 5e-4);
  EXPECT_EQ(two.schedule.warmup_tokens, 1000);
  EXPECT_EQ(two.mask_rate, 0.2);
  EXPECT_EQ(two.batch_sequences, 4);
  ASSERT_EQ(two.data.size(), 2U);
  EXPECT_EQ(two.data[0].path, (folder_ / "sub/a").string());
  EXPECT_EQ(two.data[1].path, (folder_ / "b").string());
  EXPECT_EQ(two.data[1].weight, 0.5);
  const auto without = read_recipe(path, {});
  ASSERT_TRUE(without.ok()) << without.status().to_string();
  EXPECT_EQ(without->model.hidden_size, 64) << "a preset that is not asked for changes nothing";
}

TEST_F(RecipeFiles, ErrorsNamePlaceKeyAndRemedy) {
  EXPECT_EQ(error_of("extends: r.yaml\n", {}).substr(0, 38),
            "r.yaml:1: extends: r.yaml: extends its");
  EXPECT_EQ(error_of(std::string(kSmall) + "sead: 3\n"),
            "r.yaml:20: sead: no such key | did you mean seed?");
  EXPECT_EQ(error_with("phases.one.tokens=12x"),
            "--set phases.one.tokens: phases.one.tokens: \"12x\" is not a whole number | whole "
            "numbers are written 4608, 4e9, 1.7T, 250B, 8M or 512k");
  EXPECT_EQ(error_with("phases.one.mask_rate=1"),
            "--set phases.one.mask_rate: phases.one.mask_rate: 1 is out of range | it should be "
            "above 0 and below 1");
  EXPECT_EQ(error_with("phases.oen.tokens=1"),
            "--set phases.oen.tokens=1: the recipe has no phase oen | did you mean one?");
  EXPECT_EQ(error_with("optimizer.learning_rate=null"),
            "r.yaml:8: optimizer.learning_rate is missing | add it, or set it with --set "
            "optimizer.learning_rate=NUMBER");
  EXPECT_EQ(error_with("optimizer=null"),
            "r.yaml: optimizer.learning_rate is missing | add it, or set it with --set "
            "optimizer.learning_rate=NUMBER");
  EXPECT_EQ(
      error_with("optimizer.kind=adam"),
      "--set optimizer.kind: optimizer.kind: \"adam\" is not known | did you mean adamw? known "
      "are stable_adamw, adamw");
  EXPECT_EQ(error_with("recompute=yes"),
            "--set recompute: recompute: \"yes\" is neither true nor false | write true or false");
  EXPECT_EQ(error_with("model=3"),
            "--set model: model should be a mapping of keys, not a single value | write key: value "
            "lines, indented below it");
  EXPECT_EQ(error_with("phases.one.microbatch_sequences=3"),
            "--set phases.one.microbatch_sequences: phases.one.microbatch_sequences: 3 does not "
            "divide batch_sequences 8 | set it to a divisor; a smaller one needs less memory");
  EXPECT_EQ(error_with("seed").substr(0, 41), "--set seed: should be key.path=value | fo");
  EXPECT_EQ(error_with("a..b=1"),
            "--set a..b=1: is not a path of keys | names are joined by single dots");
}

TEST_F(RecipeFiles, Contradictions) {
  const auto refused = [&](std::vector<std::string> settings, std::string_view why) {
    const std::string error = error_of(kSmall, std::move(settings));
    EXPECT_NE(error.find(why), std::string::npos) << error;
  };
  refused({"phases.one.schedule.warmup_tokens=11k"}, "the warm-up takes 11000");
  refused({"phases.one.schedule={warmup_tokens: 6k, decay: linear, decay_tokens: 5k}"},
          "the decay takes 5000 of the 4000 tokens");
  refused({"phases.one.schedule.decay=cosine"}, "the decay has no tokens");
  refused({"phases.one.schedule.decay_tokens=1k"}, "a constant rate has no decay");
  refused({"phases.one.schedule.warmup_tokens=101%"}, "out of range");
  refused({"model.num_attention_heads=3"}, "does not divide by the 3 heads");
  refused({"model.num_attention_heads=64"}, "cannot be rotated");
  refused({"model.local_attention=9"}, "is odd");
  refused({"model.max_position_embeddings=100"}, "phases.two.max_length: 128 is above");
  refused({"phases.two.tag=one"}, "an earlier phase has the tag");
  refused({"phases.two.tag=v2"}, "no name for checkpoints");
  refused({"phases.one=null", "phases.two=null"}, "phases: there is none");
  refused({"arms.decoder.phases.won.local_rope_theta=10000"}, "the recipe has no such phase");
  refused({"phases.one.batch_warmup_from=4"}, "needs batch_warmup_from and batch_warmup_tokens");
  refused({"phases.one.batch_warmup_from=6", "phases.one.batch_warmup_tokens=1k"}, "no multiple");
  refused({"loss_norm=microbatch_mean", "virtual_ranks=3"}, "3 ranks of microbatches of 4");
  refused({"loss_norm=microbatch_mean", "phases.one.batch_warmup_from=4",
           "phases.one.batch_warmup_tokens=1k"},
          "microbatch_mean has one layout");
  refused({"spike_factor=0.5"}, "would leave out ordinary steps");
}

TEST_F(RecipeFiles, CyclesAndDepthOfExtends) {
  write("a.yaml", "extends: b.yaml\n");
  write("b.yaml", "extends: sub/../a.yaml\n");
  const auto cycle = read_recipe((folder_ / "a.yaml").string(), {});
  ASSERT_FALSE(cycle.ok());
  EXPECT_NE(cycle.status().message().find("extends itself"), std::string::npos);
  for (int i = 0; i < 9; ++i) {
    write(fmt::format("d{}.yaml", i), fmt::format("extends: d{}.yaml\n", i + 1));
  }
  const auto deep = read_recipe((folder_ / "d0.yaml").string(), {});
  ASSERT_FALSE(deep.ok());
  EXPECT_EQ(deep.status().code(), StatusCode::resource_limit);
  write("lost.yaml", "extends: nowhere.yaml\n");
  EXPECT_FALSE(read_recipe((folder_ / "lost.yaml").string(), {}).ok());
}

TEST_F(RecipeFiles, CanonicalYamlReadsBackToTheSame) {
  for (const char* name : {"17m", "32m", "68m", "150m", "400m", "1b", "toy"}) {
    for (const char* preset : {"", "faithful-run", "faithful-paper", "cross"}) {
      if (name == std::string_view("toy") && *preset != '\0') continue;
      std::vector<std::string> presets;
      if (*preset != '\0') presets.emplace_back(preset);
      const std::vector<std::string> settings{"phases.*.data=[\"a b\", {path: /c, weight: 0.25}]",
                                              "optimizer.clip_norm=0.1",
                                              "arms.encoder.init_from=/models/x"};
      const auto first = read_recipe(kRecipes + name + ".yaml", settings, presets);
      ASSERT_TRUE(first.ok()) << name << " " << preset << ": " << first.status().to_string();
      const auto second = read_recipe(write("again.yaml", first->to_yaml()), {});
      ASSERT_TRUE(second.ok()) << second.status().to_string() << "\n" << first->to_yaml();
      EXPECT_EQ(first->to_yaml(), second->to_yaml());
      EXPECT_EQ(first->identity(), second->identity());
      EXPECT_EQ(first->model.layer_is_global, second->model.layer_is_global);
    }
  }
}

TEST_F(RecipeFiles, IdentityIsOfWhatDecidesTheNumbers) {
  const std::string one = read(kSmall)->identity();
  EXPECT_EQ(one.size(), 64U);
  for (const char* same : {"name=other", "phases.two.data=/elsewhere", "keep_checkpoints=3",
                           "phases.*.checkpoint_tokens=1k", "validation.every_tokens=5k"}) {
    EXPECT_EQ(read(kSmall, {same})->identity(), one) << same;
  }
  for (const char* other : {"seed=22", "phases.one.tokens=11k", "dtype=fp32", "init_from=/x",
                            "phases.one.microbatch_sequences=2"}) {
    EXPECT_NE(read(kSmall, {other})->identity(), one) << other;
  }
}

TEST_F(RecipeFiles, InputsMustExistForTraining) {
  auto r = read(kSmall);
  ASSERT_TRUE(r.ok());
  EXPECT_NE(check_inputs(*r, kEncoder).message().find("phases.one.data: no data"),
            std::string::npos);
  r->phases[0].data = r->phases[1].data;
  EXPECT_NE(check_inputs(*r, kEncoder).message().find("has no index.json"), std::string::npos);
  std::filesystem::create_directories(folder_ / "shards");
  write("shards/index.json", "{}");
  EXPECT_NE(check_inputs(*r, kEncoder).message().find("tokenizer"), std::string::npos);
  write("sub/tokenizer.json", "{}");
  r->tokenizer = (folder_ / "sub").string();
  EXPECT_TRUE(check_inputs(*r, kEncoder).ok());
  r->phases[0].fresh_optimizer = true;
  EXPECT_NE(check_inputs(*r, kEncoder).message().find("arms.encoder.init_from"), std::string::npos);
  r->decoder.init_from = r->tokenizer;
  EXPECT_TRUE(check_inputs(*r, kDecoder).ok());
}

// --- the published recipes -----------------------------------------------------------------------

Recipe published(const std::string& size, const std::string& preset = "") {
  std::vector<std::string> presets;
  if (!preset.empty()) presets.push_back(preset);
  auto r = read_recipe(kRecipes + size + ".yaml", {}, presets);
  EXPECT_TRUE(r.ok()) << r.status().to_string();
  return r.ok() ? *r : Recipe();
}

TEST(PublishedRecipes, ShapesAreThePublishedOnes) {
  for (const char* size : {"17m", "32m", "68m", "150m", "400m", "1b"}) {
    const Recipe r = published(size);
    const ModelConfig mine = phase_model(r, 2, kDecoder);
    const ModelConfig theirs = *published_config(size, kDecoder);
    EXPECT_EQ(mine.vocab_size, theirs.vocab_size);
    EXPECT_EQ(mine.hidden_size, theirs.hidden_size) << size;
    EXPECT_EQ(mine.intermediate_size, theirs.intermediate_size) << size;
    EXPECT_EQ(mine.num_layers, theirs.num_layers) << size;
    EXPECT_EQ(mine.num_heads, theirs.num_heads) << size;
    EXPECT_EQ(mine.max_positions, theirs.max_positions) << size;
    EXPECT_EQ(mine.layer_is_global, theirs.layer_is_global) << size;
    EXPECT_EQ(mine.window_each_side, theirs.window_each_side) << size;
    EXPECT_EQ(parameter_count(mine), parameter_count(theirs)) << size;
    EXPECT_EQ(mine.arm, kDecoder);
  }
}

TEST(PublishedRecipes, PhasesOf150m) {
  const Recipe r = published("150m");
  ASSERT_EQ(r.phases.size(), 3U);
  EXPECT_EQ(r.phases[0].tokens, 1'700'000'000'000);
  EXPECT_EQ(r.phases[0].schedule.warmup_tokens, 3'000'000'000);
  EXPECT_EQ(learning_rate_at(r.phases[0], 3'000'000'000), 8e-4);
  EXPECT_EQ(learning_rate_at(r.phases[1], 0), 8e-4);
  EXPECT_DOUBLE_EQ(learning_rate_at(r.phases[1], r.phases[1].tokens), 4e-4);
  EXPECT_DOUBLE_EQ(learning_rate_at(r.phases[2], 0), 4e-4) << "no jump";
  EXPECT_DOUBLE_EQ(learning_rate_at(r.phases[2], r.phases[2].tokens), 0.02 * 8e-4);
  EXPECT_EQ(r.phases[2].mask_rate, 0.15);
  EXPECT_EQ(weight_decay_peak(r, 2), 8e-4) << "one optimiser through all phases";
  EXPECT_EQ(r.loss_norm, LossNorm::token_mean);
  EXPECT_EQ(batch_sequences_at(r.phases[0], 0), 4608);
  const Recipe paper = published("150m", "faithful-paper");
  EXPECT_EQ(batch_sequences_at(paper.phases[0], 0), 72);
  EXPECT_EQ(batch_sequences_at(paper.phases[0], 50'000'000'000), 4608);
}

TEST(PublishedRecipes, ThetasOfTheFaithfulRun) {
  const auto local = [](const char* size, const char* preset, size_t phase, Arm arm) {
    return phase_model(published(size, preset), phase, arm).local_rope_theta;
  };
  for (const Arm arm : {kEncoder, kDecoder}) {
    for (const char* size : {"17m", "32m", "68m", "150m", "400m", "1b"}) {
      const bool small = size == std::string_view("17m");
      EXPECT_EQ(local(size, "faithful-run", 0, arm), 10000) << size;
      EXPECT_EQ(local(size, "faithful-run", 1, arm), small ? 10000 : 160000) << size;
      const bool reset =
          arm == kDecoder && size != std::string_view("150m") && size != std::string_view("1b");
      EXPECT_EQ(local(size, "faithful-run", 2, arm), reset ? 10000 : 160000) << size;
      EXPECT_EQ(local(size, "faithful-paper", 2, arm), 160000) << size;
      EXPECT_EQ(local(size, "", 2, arm), 160000) << size;
    }
  }
  const Recipe run = published("68m", "faithful-run");
  EXPECT_EQ(run.loss_norm, LossNorm::microbatch_mean);
  EXPECT_EQ(run.virtual_ranks, 4);
  EXPECT_TRUE(run.pad_row_quirk);
  EXPECT_EQ(run.phases[1].virtual_microbatch, 18);
  const Recipe decoder = arm_recipe(run, kDecoder);
  EXPECT_EQ(decoder.phases[2].local_rope_theta, 10000);
  EXPECT_TRUE(decoder.decoder.phases.empty());
}

TEST(PublishedRecipes, CrossObjectiveTraining) {
  for (const auto& [size, tokens, micro] :
       {std::tuple("150m", int64_t{50'000'000'000}, 12), {"1b", 16'666'667'000, 2}}) {
    const Recipe r = published(size, "cross");
    ASSERT_EQ(r.phases.size(), 1U);
    const PhaseRecipe& p = r.phases[0];
    EXPECT_EQ(p.tokens, tokens);
    EXPECT_EQ(p.microbatch_sequences, micro);
    EXPECT_EQ(r.seed, 210U);
    EXPECT_EQ(r.shuffle_seed, 21U);
    EXPECT_EQ(r.masked_prediction, MaskedPrediction::mntp);
    EXPECT_TRUE(p.fresh_optimizer);
    EXPECT_EQ(p.learning_rate, r.optimizer.learning_rate / 2);
    EXPECT_EQ(weight_decay_peak(r, 0), p.learning_rate) << "a new optimiser has a new peak";
    EXPECT_NEAR(learning_rate_at(p, p.tokens), 0.02 * p.learning_rate, 1e-18);
  }
}

TEST(PublishedRecipes, EveryKeyIsDocumented) {
  const auto docs = read_file(ETTIN_SOURCE_DIR "/docs/recipes.md", 1 << 20);
  ASSERT_TRUE(docs.ok());
  Recipe r = published("17m", "faithful-run");
  r.optimizer.clip_norm = 1;
  r.init_from = r.tokenizer = "x";
  r.phases[0].data = r.validation.data = {{"x", 1}};
  const std::string yaml = r.to_yaml();
  int keys = 0;
  for (size_t at = 0; at < yaml.size(); at = yaml.find('\n', at) + 1) {
    const size_t first = yaml.find_first_not_of(' ', at), colon = yaml.find(':', first);
    const std::string key = yaml.substr(first, colon - first);
    if (key.starts_with('-') || key == "pretrain" || key == "extension" || key == "decay") continue;
    EXPECT_TRUE(docs->find("`" + key) != std::string::npos ||
                docs->find("." + key + "`") != std::string::npos)
        << key;
    ++keys;
  }
  EXPECT_GT(keys, 60);
}

TEST(PublishedRecipes, UnknownPresetsAreNamed) {
  const std::vector<std::string> presets{"faithful-rnu"};
  const auto r = read_recipe(kRecipes + "17m.yaml", {}, presets);
  ASSERT_FALSE(r.ok());
  EXPECT_NE(r.status().hint().find("faithful-run"), std::string::npos);
}

}  // namespace
}  // namespace ettin
