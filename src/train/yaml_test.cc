// What YAML is read as and what is refused.
#include "train/yaml.h"

#include <gtest/gtest.h>

namespace ettin {
namespace {

std::shared_ptr<const YamlSource> source() {
  return std::make_shared<YamlSource>(YamlSource{"r.yaml", "."});
}

YamlNode must_parse(std::string_view text) {
  auto node = parse_yaml(text, source());
  EXPECT_TRUE(node.ok()) << node.status().to_string();
  return node.ok() ? *node : YamlNode();
}

std::string error_of(std::string_view text) {
  const auto node = parse_yaml(text, source());
  return node.ok() ? "read" : node.status().message();
}

TEST(Yaml, ATreeThatKnowsItsLines) {
  const YamlNode root = must_parse("a: 1\nb:\n  - x\n  - {y: 'z', w: ~}\nc: \"2\"\n");
  ASSERT_TRUE(root.is_mapping());
  EXPECT_EQ(root.find("a")->scalar, "1");
  EXPECT_FALSE(root.find("a")->quoted);
  EXPECT_TRUE(root.find("c")->quoted);
  const YamlNode& list = *root.find("b");
  ASSERT_EQ(list.items.size(), 2U);
  EXPECT_EQ(list.items[1].find("y")->scalar, "z");
  EXPECT_TRUE(list.items[1].find("w")->is_null());
  EXPECT_EQ(list.items[1].where(), "r.yaml:4");
  EXPECT_EQ(root.find("none"), nullptr);
  EXPECT_TRUE(must_parse("").is_null());
  EXPECT_TRUE(must_parse("# only a comment\n").is_null());
}

TEST(Yaml, WhatIsRefused) {
  EXPECT_EQ(error_of("a: &x 1\nb: 2\n"), "r.yaml:1: an anchor (&name) is not allowed");
  EXPECT_NE(error_of("a: &x [1]\nb: *x\n").find("not allowed"), std::string::npos);
  EXPECT_EQ(error_of("a: !!python/object:os.system x\n"),
            "r.yaml:1: the tag tag:yaml.org,2002:python/object:os.system is not allowed");
  EXPECT_EQ(error_of("a: 1\nb: 2\na: 3\n"), "r.yaml:3: the key \"a\" a second time is not allowed");
  EXPECT_EQ(error_of("[a, b]: 1\n"), "r.yaml:1: a key that is not a plain word is not allowed");
  EXPECT_EQ(error_of("a: 1\n---\nb: 2\n"), "r.yaml: more than one YAML document");
  EXPECT_EQ(error_of(std::string_view("a: \0", 4)), "r.yaml: a NUL byte in YAML");
  EXPECT_EQ(error_of("a: [1, 2\nb: 3\n").substr(0, 9), "r.yaml:2:");
  EXPECT_EQ(error_of("a:\n\tb: 1\n").substr(0, 7), "r.yaml:");
}

TEST(Yaml, Limits) {
  EXPECT_EQ(error_of(std::string(100, '[') + std::string(100, ']')),
            "r.yaml:1: more than 16 levels of nesting is not allowed");
  EXPECT_EQ(error_of(std::string(100000, '[')).substr(0, 7), "r.yaml:");
  EXPECT_EQ(error_of(std::string(100000, '{')).substr(0, 7), "r.yaml:");
  EXPECT_EQ(error_of(std::string(kMostYamlBytes + 1, '#')),
            "r.yaml: more than 1048576 bytes of YAML");
  std::string many;
  for (int i = 0; i < 1025; ++i) many += "k" + std::to_string(i) + ": 1\n";
  EXPECT_EQ(error_of(many), "r.yaml:1025: a mapping of more than 1024 keys is not allowed");
}

TEST(Yaml, EveryBeginningOfAFileIsReadOrRefused) {
  const std::string text =
      "a: {b: [1, 'two', \"thr\\x65e\"], c: ~}\nd:\n  - e: |\n      text\n    f: >-\n      more\n? "
      "g\n: h\n";
  for (size_t n = 0; n <= text.size(); ++n) {
    (void)error_of(text.substr(0, n));
    std::string damaged = text;
    for (const char c : {'\xff', '\0', ':', '&', '*', '!', '\t', '%', '@', '{', '"'}) {
      if (n < text.size()) damaged[n] = c;
      (void)error_of(damaged);
    }
  }
}

TEST(Yaml, OverlaysMergeMappingsAndReplaceTheRest) {
  YamlNode base = must_parse("a: {x: 1, y: 2}\nb: [1, 2]\nc: 3\n");
  overlay_yaml(must_parse("a: {y: 5, z: 6}\nb: [9]\nc: null\nd: 4\n"), &base);
  EXPECT_EQ(base.find("a")->find("x")->scalar, "1");
  EXPECT_EQ(base.find("a")->find("y")->scalar, "5");
  EXPECT_EQ(base.find("a")->find("z")->scalar, "6");
  ASSERT_EQ(base.find("b")->items.size(), 1U);
  EXPECT_EQ(base.find("c"), nullptr) << "a null takes its key away";
  EXPECT_EQ(base.find("d")->scalar, "4");
}

TEST(Yaml, QuotedTextReadsBack) {
  for (const std::string text : {"", "a: b # c", "quote \" back \\ tab \t line \n", "Zoë ☃", "~"}) {
    const YamlNode node = must_parse("k: " + quote_yaml(text) + "\n");
    ASSERT_TRUE(node.find("k")->is_scalar()) << text;
    EXPECT_EQ(node.find("k")->scalar, text);
  }
}

}  // namespace
}  // namespace ettin
