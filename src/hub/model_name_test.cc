#include "hub/model_name.h"

#include <set>

#include <gtest/gtest.h>

namespace ettin {
namespace {

std::string repository_of(std::string_view text) {
  const auto name = parse_model_name(text);
  return name.ok() && *name ? (*name)->repository : std::string();
}

// Catches a row that was copied and not changed.
TEST(ModelName, TheFamilyHas24Models) {
  std::set<std::string> expected, found;
  for (const char* size : {"17m", "32m", "68m", "150m", "400m", "1b"}) {
    for (const auto& [name, repository] :
         {std::pair{"encoder", "encoder"}, std::pair{"decoder", "decoder"},
          std::pair{"encoder-from-decoder", "enc-from-dec"},
          std::pair{"decoder-from-encoder", "dec-from-enc"}}) {
      expected.insert(std::string("ettin-") + name + "-" + size + "=jhu-clsp/ettin-" + repository +
                      "-" + size);
    }
  }
  for (const FamilyModel& model : family_models()) {
    found.insert(std::string(model.name) + "=" + std::string(model.repository));
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(family_models().size(), 24u);
}

TEST(ModelName, EverySpellingFindsItsRepository) {
  for (const FamilyModel& model : family_models()) {
    const std::string repository(model.repository), name(model.name);
    const std::string short_name = repository.substr(repository.find('/') + 1);
    EXPECT_EQ(repository_of(name), repository);
    EXPECT_EQ(repository_of(short_name), repository);
    EXPECT_EQ(repository_of(name.substr(6)), repository) << "without ettin-";
    EXPECT_EQ(repository_of(repository), repository);
    EXPECT_EQ(repository_of("jhu-clsp/" + name), repository);
  }
}

TEST(ModelName, RevisionsFollowAnAt) {
  const auto name = parse_model_name("ettin-decoder-400m@step590532");
  ASSERT_TRUE(name.ok() && *name);
  EXPECT_EQ((*name)->repository, "jhu-clsp/ettin-decoder-400m");
  EXPECT_EQ((*name)->revision, "step590532");
  EXPECT_EQ((*parse_model_name("a/b"))->revision, "main");
  for (const char* text : {"a/b@", "a/b@../x", "a/b@a b", "a/b@/x", "a/b@x\n"}) {
    const auto bad = parse_model_name(text);
    EXPECT_TRUE(!bad.ok() || !*bad) << text;
  }
}

TEST(ModelName, OthersAreNoNames) {
  EXPECT_EQ(repository_of("onnx-community/ettin-encoder-32m-ONNX"),
            "onnx-community/ettin-encoder-32m-ONNX");
  for (const char* text : {"", ".", "./a/b", "/a/b", "a/b/c", "../a", "a/..", "a/b c", "a//b"}) {
    EXPECT_EQ(repository_of(text), "") << text;
  }
}

// A private or withdrawn repository of the family is not its own near miss.
TEST(ModelName, WhatIsSpeltWellHasNoNearMiss) {
  EXPECT_EQ(nearest_family_name("jhu-clsp/ettin-enc-from-dec-32m"), std::nullopt);
  EXPECT_EQ(nearest_family_name("jhu-clsp/ettin-encodr-32m"), "ettin-encoder-32m");
}

TEST(ModelName, NearMissesAreNamed) {
  const auto typo = parse_model_name("ettin-encodr-32m");
  ASSERT_FALSE(typo.ok());
  EXPECT_EQ(typo.status().code(), StatusCode::not_found);
  EXPECT_NE(typo.status().hint().find("ettin-encoder-32m"), std::string::npos);
  const auto embedded = parse_model_name("seedling-encodr", {"seedling-encoder"});
  EXPECT_NE(embedded.status().hint().find("seedling-encoder"), std::string::npos);
}

}  // namespace
}  // namespace ettin
