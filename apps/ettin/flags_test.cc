#include "flags.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "parse.h"

namespace ettin::cli {
namespace {

struct Options {
  bool json = false;
  int64_t top_k = 5;
  uint64_t seed = 0;
  double temperature = 0;
  std::string name = "x";
  std::string pooling = "mean";
  std::optional<double> theta;
  std::vector<std::string> stop, texts;
  Flags flags;

  Options() {
    flags.toggle("--json", "", &json);
    flags.option("--top-k", "K", "", &top_k);
    flags.option("--seed", "N", "", &seed);
    flags.option("--temperature", "T", "", &temperature);
    flags.option("--name", "NAME", "", &name);
    flags.choice("--pooling", {"mean", "cls", "last"}, "", &pooling);
    flags.option("--theta", "X", "", &theta);
    flags.list("--stop", "TEXT", "", &stop);
    flags.arguments(&texts);
  }
  Status parse(std::vector<std::string> args) { return parse_flags(args, flags); }
};

TEST(ParseFlags, ReadsEveryKind) {
  Options o;
  const Status status = o.parse({"first", "--top-k", "7", "--json", "--temperature=0.5", "--stop",
                                 "a", "--stop", "[b]", "--pooling", "cls", "--theta", "1e4",
                                 "second", "--seed", "18446744073709551615", "--name", "-dash"});
  ASSERT_TRUE(status.ok()) << status.to_string();
  EXPECT_TRUE(o.json);
  EXPECT_EQ(o.top_k, 7);
  EXPECT_EQ(o.seed, UINT64_MAX);
  EXPECT_EQ(o.temperature, 0.5);
  EXPECT_EQ(o.name, "-dash");
  EXPECT_EQ(o.pooling, "cls");
  EXPECT_EQ(o.theta, 1e4);
  EXPECT_EQ(o.stop, (std::vector<std::string>{"a", "[b]"}));
  EXPECT_EQ(o.texts, (std::vector<std::string>{"first", "second"}));
}

TEST(ParseFlags, TextsAreLeftAlone) {
  Options o;
  ASSERT_TRUE(o.parse({"[MASK]", "", "-", "a,b", "[x, y]", "--", "--json", "-5"}).ok());
  EXPECT_EQ(o.texts,
            (std::vector<std::string>{"[MASK]", "", "-", "a,b", "[x, y]", "--json", "-5"}));
  EXPECT_FALSE(o.json);
}

TEST(ParseFlags, TheLastOfSeveralWins) {
  Options o;
  ASSERT_TRUE(o.parse({"--top-k", "1", "--top-k", "2", "--json", "--json"}).ok());
  EXPECT_EQ(o.top_k, 2);
  EXPECT_TRUE(o.json);
}

TEST(ParseFlags, SwitchesCanBeTurnedOff) {
  Options o;
  ASSERT_TRUE(o.parse({"--json=false"}).ok());
  EXPECT_FALSE(o.json);
}

TEST(ParseFlags, ErrorsNameTheOption) {
  const auto error = [](std::vector<std::string> args) { return Options().parse(args); };
  EXPECT_EQ(error({"--top-k", "many"}).message(), "--top-k: \"many\" is not a whole number");
  EXPECT_EQ(error({"--top-k", "1.5"}).message(), "--top-k: \"1.5\" is not a whole number");
  EXPECT_EQ(error({"--top-k", ""}).message(), "--top-k: \"\" is not a whole number");
  EXPECT_EQ(error({"--seed", "-1"}).message(), "--seed: \"-1\" is not a whole number from 0 on");
  EXPECT_EQ(error({"--temperature", "hot"}).message(), "--temperature: \"hot\" is not a number");
  EXPECT_EQ(error({"--pooling", "maen"}).hint(), "did you mean mean?");
  EXPECT_EQ(error({"--top-k"}).message(), "--top-k needs a value");
  EXPECT_EQ(error({"--top-l", "3"}).message(), "unknown option --top-l");
  EXPECT_EQ(error({"--top-l", "3"}).hint(), "did you mean --top-k?");
  EXPECT_EQ(error({"-x"}).code(), StatusCode::invalid_argument);
}

TEST(ParseFlags, MoreArgumentsThanTheCommandTakes) {
  std::vector<std::string> words;
  Flags flags;
  flags.arguments(&words, 1);
  EXPECT_TRUE(parse_flags({"one"}, flags).ok());
  EXPECT_EQ(parse_flags({"one", "two"}, flags).message(), "unexpected argument \"two\"");
  EXPECT_FALSE(parse_flags({"one"}, Flags()).ok());
}

TEST(ParseFlags, TheEnvironmentStandsInForOptions) {
  ::setenv("ETTIN_TOP_K", "9", 1);
  ::setenv("ETTIN_JSON", "true", 1);
  Options o;
  ASSERT_TRUE(o.parse({}).ok());
  EXPECT_EQ(o.top_k, 9);
  EXPECT_TRUE(o.json);
  ASSERT_TRUE(o.parse({"--top-k", "3"}).ok());
  EXPECT_EQ(o.top_k, 3);
  ::setenv("ETTIN_TOP_K", "many", 1);
  EXPECT_EQ(Options().parse({}).message(), "ETTIN_TOP_K: \"many\" is not a whole number");
  ::unsetenv("ETTIN_TOP_K");
  ::unsetenv("ETTIN_JSON");
}

TEST(Flags, EnvironmentNames) {
  Flag flag;
  flag.name = "--max-new-tokens";
  EXPECT_EQ(flag.environment_name(), "ETTIN_MAX_NEW_TOKENS");
}

TEST(HasOption, StopsAtTheDoubleDash) {
  EXPECT_TRUE(has_option({"a", "--json"}, "--json"));
  EXPECT_TRUE(has_option({"--json=1"}, "--json"));
  EXPECT_FALSE(has_option({"--jsonx"}, "--json"));
  EXPECT_FALSE(has_option({"--", "--json"}, "--json"));
}

}  // namespace
}  // namespace ettin::cli
