// Training checkpoints: what is found in them, what is left alone, and which of a folder is taken.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/test_alloc_probe.h"
#include "formats/checkpoint_trail.h"
#include "formats/composer_checkpoint.h"
#include "formats/state_dict.h"
#include "formats/test_torch_file.h"

namespace ettin::test {
namespace {

SavedTensor named(std::string name) {
  SavedTensor spec;
  spec.name = std::move(name);
  return spec;
}

std::string torch_bytes(const std::string& pickle) {
  return make_zip(torch_items(pickle, {floats({0, 1, 2, 3, 4, 5})}));
}

std::vector<std::string> names(const TensorSource& source) {
  std::vector<std::string> out;
  for (const StoredTensor& t : source.tensors()) out.push_back(t.name);
  return out;
}

// Catches: names of one kind forgotten, the wrapper cut from names that have none.
TEST(Checkpoint, NamesAreHuggingFaces) {
  const TempDir folder;
  const auto names_of = [&](const std::vector<std::string>& given) {
    std::vector<SavedTensor> tensors;
    for (const std::string& name : given) tensors.push_back(named(name));
    folder.write("c.pt", torch_bytes(composer_pickle(tensors, "")));
    const auto checkpoint = open_checkpoint(folder.path() + "/c.pt");
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().to_string();
    return checkpoint.ok() ? names(checkpoint->source) : std::vector<std::string>();
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(
      names_of({"model.bert.embeddings.norm.weight", "model.bert.encoder.layers.3.mlp.Wi.weight",
                "model.bert.final_norm.weight", "model.head.dense.weight", "model.decoder.bias"}),
      (Names{"model.embeddings.norm.weight", "model.layers.3.mlp.Wi.weight",
             "model.final_norm.weight", "head.dense.weight", "decoder.bias"}));
  EXPECT_EQ(names_of({"bert.encoder.layers.0.attn.Wqkv.weight", "lm_head.norm.weight"}),
            (Names{"model.layers.0.attn.Wqkv.weight", "lm_head.norm.weight"}));
  EXPECT_EQ(names_of({"model.model.layers.0.attn.Wo.weight", "model.lm_head.norm.weight"}),
            (Names{"model.layers.0.attn.Wo.weight", "lm_head.norm.weight"}));
  EXPECT_EQ(names_of({"model.layers.0.attn.Wo.weight", "head.dense.weight"}),
            (Names{"model.layers.0.attn.Wo.weight", "head.dense.weight"}));
}

// Catches: a name outside of the model that is an error, or a tensor of the optimizer that is read.
TEST(Checkpoint, WhatLiesBesideTheModelIsLeftAlone) {
  const TempDir folder;
  folder.write("c.pt", torch_bytes(composer_pickle({named("model.bert.final_norm.weight")}, "")));
  const auto checkpoint = open_checkpoint(folder.path() + "/c.pt");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().to_string();
  ASSERT_EQ(checkpoint->source.tensors().size(), 1U);
  EXPECT_EQ(checkpoint->source.tensors()[0].shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_TRUE(checkpoint->source.tensors()[0].mapped);
  EXPECT_EQ(checkpoint->source.files(), std::vector<std::string>{folder.path() + "/c.pt"});
  EXPECT_EQ(checkpoint->batch, 5996);
  EXPECT_EQ(checkpoint->tokens, 17'000'000'000);
}

TEST(Checkpoint, TheConfigIsPlainData) {
  Pickle config;
  config.raw("}").text("content").raw("}(").text("rotary_emb_base").raw("G");
  config.raw(std::string("\x40\xc3\x88\0\0\0\0\0", 8));  // 10000.0
  config.text("hidden_size").integer(-5).text("flag").raw("\x88").text("nothing").raw("N");
  config.text("list")
      .raw(
          "](K\x01K\x02"
          "e")
      .text("code")
      .raw("cos\nsystem\n)R");
  config.text("pair").raw("K\x01K\x02\x86").raw("us");
  const auto model =
      read_pickled_model(bytes_of(composer_pickle({named("a")}, "", config.str())), "f");
  ASSERT_TRUE(model.ok()) << model.status().to_string();
  EXPECT_EQ(model->inside, "state.model");
  EXPECT_EQ(dump_json(model->config),
            R"({"rotary_emb_base":10000.0,"hidden_size":-5,"flag":true,"nothing":null,)"
            R"("list":[1,2],"pair":[1,2]})");
}

// Catches: a config that is walked for ever or unfolds to more than the file accounts for.
TEST(Checkpoint, AConfigThatContainsItselfOrUnfoldsIsCutOff) {
  const std::string itself = "}q\x01\x8c\x01kh\x01s";
  std::string wide = "}(";  // 10,000 keys of 200 bytes, all of one string
  wide += "\x8c\xc8" + std::string(200, 'x') + "q\x01";
  wide += "h\x01";
  for (int i = 0; i < 10'000; ++i) wide += "h\x01h\x01";
  wide += "u";
  for (const std::string& config : {itself, wide}) {
    const std::string pickle = composer_pickle({named("a")}, "", config);
    const size_t before = bytes_requested();
    const auto model = read_pickled_model(bytes_of(pickle), "f");
    ASSERT_TRUE(model.ok()) << model.status().to_string();
    EXPECT_EQ(model->tensors.size(), 1U);
    EXPECT_LE(bytes_requested() - before, (size_t{4} << 20) + 128 * pickle.size());
  }
  // Ten lists, each of the one before eight times: the values on the way stay on the stack.
  Pickle bomb;
  bomb.raw("(]q\x01");
  for (int i = 1; i <= 10; ++i) {
    bomb.raw("](");
    for (int copy = 0; copy < 8; ++copy) bomb.raw("h").byte(i);
    bomb.raw("eq").byte(i + 1);
  }
  bomb.raw("1}").text("k").raw("h").byte(11).raw("s");
  const size_t before = bytes_requested();
  const auto model =
      read_pickled_model(bytes_of(composer_pickle({named("a")}, "", bomb.str())), "f");
  ASSERT_TRUE(model.ok()) << model.status().to_string();
  EXPECT_LE(bytes_requested() - before, size_t{4} << 20);
}

TEST(Checkpoint, OtherTrainersNestingsAreFound) {
  for (const char* key : {"state_dict", "model_state_dict", "model"}) {
    Pickle out;
    out.proto().raw("}(").text("epoch").integer(3).text(key).raw("}").text("a");
    add_tensor(&out, named("a"));
    out.raw("s").text("hyper_parameters").global("argparse", "Namespace").raw(")\x81").raw("u.");
    const auto model = read_pickled_model(bytes_of(out.str()), "f");
    ASSERT_TRUE(model.ok()) << model.status().to_string();
    EXPECT_EQ(model->inside, key);
    ASSERT_EQ(model->tensors.size(), 1U);
    EXPECT_EQ(model->tensors[0].name, "a");
    EXPECT_TRUE(model->config.is_null());
  }
  // A tensor may be called "model".
  const auto flat = read_pickled_model(bytes_of(state_dict({named("model")})), "f");
  ASSERT_TRUE(flat.ok());
  EXPECT_EQ(flat->inside, "");
}

std::string folder_with(const TempDir& folder, const std::vector<std::string>& files) {
  for (const std::string& name : files) folder.write(name, "");
  return folder.path();
}

// Catches: an order by name, in which ba900 comes after ba10000.
TEST(Trail, TheNewestIsThatOfTheHighestBatch) {
  const TempDir folder;
  const std::string path =
      folder_with(folder, {"ep0-ba900-rank0.pt", "ep1-ba10000-rank0.pt", "ep0-ba10000-rank1.pt",
                           "latest-rank0.pt", "ep0-ba1-rank0.pt", "config.json", "ep2-bax-rank0.pt",
                           "ep-1-ba99999999-rank0.pt", "ep0-ba99999999999999999999-rank0.pt"});
  const auto trail = list_trail(path);
  ASSERT_TRUE(trail.ok());
  std::vector<std::string> order;
  for (const TrailFile& file : *trail) order.push_back(file.name);
  EXPECT_EQ(order, (std::vector<std::string>{
                       "ep-1-ba99999999-rank0.pt", "ep0-ba99999999999999999999-rank0.pt",
                       "ep2-bax-rank0.pt", "latest-rank0.pt", "ep0-ba1-rank0.pt",
                       "ep0-ba900-rank0.pt", "ep1-ba10000-rank0.pt"}));
  const auto taken = newest(*trail, path);
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->name, "ep1-ba10000-rank0.pt");
  EXPECT_EQ(taken->epoch, 1);
  EXPECT_EQ(taken->batch, 10000);
}

TEST(Trail, OneIsChosenByItsBatchOrName) {
  const TempDir folder;
  const std::string path = folder_with(
      folder, {"ep0-ba900-rank0.pt", "ep1-ba10000-rank0.pt", "latest-rank0.pt", "my.model.pt"});
  const auto trail = list_trail(path);
  ASSERT_TRUE(trail.ok());
  const auto name = [&](std::string_view which) {
    const auto file = choose(*trail, which, path);
    return file.ok() ? file->name : file.status().message();
  };
  for (const char* which : {"ba900", "900", "ep0-ba900", "ep0-ba900-rank0", "ep0-ba900-rank0.pt"}) {
    EXPECT_EQ(name(which), "ep0-ba900-rank0.pt") << which;
  }
  EXPECT_EQ(name("latest"), "latest-rank0.pt");
  EXPECT_EQ(name("my.model"), "my.model.pt");
  for (const char* which : {"ba901", "ep1-ba900", "ba", "", "-900", "ba900x", "../x"}) {
    EXPECT_NE(name(which).find("no checkpoint"), std::string::npos) << which;
  }
}

TEST(Trail, WithoutBatchesALinkOrTheOnlyFileIsTaken) {
  const TempDir one, two, linked;
  const auto only = list_trail(folder_with(one, {"weights.pth"}));
  EXPECT_EQ(newest(*only, "f")->name, "weights.pth");
  const auto many = list_trail(folder_with(two, {"a.pt", "b.pt"}));
  EXPECT_FALSE(newest(*many, "f").ok());
  const auto latest = list_trail(folder_with(linked, {"a.pt", "latest-rank0.pt"}));
  EXPECT_EQ(newest(*latest, "f")->name, "latest-rank0.pt");
}

}  // namespace
}  // namespace ettin::test
