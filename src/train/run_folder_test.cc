// One run, one folder, one trainer.
#include "train/run_folder.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/test_files.h"
#include "ettin/version.h"

namespace ettin {
namespace {

using test::TempDir;

const std::string kYaml =
    "name: \"small\"\nseed: 21\nphases:\n  pretrain:\n    data:\n      - {path: \"/a\", weight: "
    "1}\n"
    "      - {path: \"/b\", weight: 2}\n    tokens: 4000\n  decay:\n    tokens: 100\n";

RunIdentity identity() {
  return {.arm = "encoder",
          .recipe = std::string(64, 'a'),
          .tokenizer = std::string(64, 'b'),
          .data = {{"pretrain", std::string(64, 'c')}, {"decay", std::string(64, 'd')}}};
}

std::string why_not(const std::string& path, const RunIdentity& as,
                    const std::string& yaml = kYaml) {
  const auto run = RunFolder::open(path, as, yaml);
  return run.ok() ? "" : run.status().to_string();
}

TEST(RunFolder, BeginsAndGoesOn) {
  const TempDir dir;
  const std::string path = dir.path() + "/runs/one";
  {
    const auto run = RunFolder::open(path, identity(), kYaml);
    ASSERT_TRUE(run.ok()) << run.status().to_string();
    EXPECT_TRUE(run->is_new());
    EXPECT_EQ(test::slurp(path + "/recipe.yaml"), kYaml);
  }
  const auto read = read_run_identity(path);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->version, ETTIN_VERSION_STRING);
  EXPECT_EQ(read->data[1].phase, "decay");
  // The same recipe after its folders moved.
  const auto run = RunFolder::open(path, identity(), kYaml + "# moved\n");
  ASSERT_TRUE(run.ok()) << run.status().to_string();
  EXPECT_FALSE(run->is_new());
  EXPECT_EQ(test::slurp(path + "/recipe.yaml"), kYaml + "# moved\n");
}

TEST(RunFolder, ABeginningThatWasCutOffIsBegunAgain) {
  const TempDir dir;
  dir.write("recipe.yaml", "half");
  dir.write("run.json.tmp-77", "{");
  dir.write(".lock", "77\n");
  const auto run = RunFolder::open(dir.path(), identity(), kYaml);
  ASSERT_TRUE(run.ok()) << run.status().to_string();
  EXPECT_TRUE(run->is_new());
}

TEST(RunFolder, SaysWhatDiffers) {
  const TempDir dir;
  ASSERT_EQ(why_not(dir.path(), identity()), "");
  const auto expect = [&](const RunIdentity& as, const std::string& part,
                          const std::string& yaml = kYaml) {
    const std::string why = why_not(dir.path(), as, yaml);
    EXPECT_NE(why.find(part), std::string::npos) << why;
    EXPECT_NE(why.find("choose another folder"), std::string::npos) << why;
  };
  RunIdentity other = identity();
  other.arm = "decoder";
  expect(other, "the arm encoder, not decoder");
  other = identity();
  other.recipe = std::string(64, '0');
  std::string yaml = kYaml;
  yaml.replace(yaml.find("4000"), 4, "5000");
  expect(other, "another recipe: phases.pretrain.tokens: 4000 there, 5000 here", yaml);
  other = identity();
  other.tokenizer.clear();
  expect(other, "another tokenizer.json");
  other = identity();
  other.data[1].identity = std::string(64, '0');
  expect(other, "other data in its phase decay");
  other = identity();
  other.data.pop_back();
  expect(other, "other phases");
  EXPECT_EQ(why_not(dir.path(), identity()), "");
  EXPECT_EQ(test::slurp(dir.path() + "/recipe.yaml"), kYaml);  // refusals change nothing
}

TEST(RunFolder, DifferingKeysHaveTheirPath) {
  using Keys = std::vector<std::string>;
  EXPECT_EQ(differing_keys(kYaml, kYaml, 9), Keys());
  std::string yaml = kYaml + "dtype: bf16\n";
  yaml.replace(yaml.find("weight: 2"), 9, "weight: 3");
  yaml.replace(yaml.find("seed: 21\n"), 9, "");
  yaml.replace(yaml.find("100"), 3, "200");
  EXPECT_EQ(differing_keys(kYaml, yaml, 9),
            (Keys{"phases.decay.tokens: 100 there, 200 here",
                  "phases.pretrain.data.2: {path: \"/b\", weight: 2} there, {path: \"/b\", weight: "
                  "3} here",
                  "seed: 21 there, absent here", "dtype: absent there, bf16 here"}));
  EXPECT_EQ(differing_keys(kYaml, yaml, 2).size(), 2u);
  // Anything that was written there is read without harm.
  for (const char* text : {"", "\n\n", ":", "- ", "a", "  a:\n b:\n", ": :\n  - - -\n", "a:b"}) {
    differing_keys(text, kYaml, 9);
  }
}

TEST(RunFolder, OtherFoldersAreLeftAlone) {
  const TempDir dir;
  dir.write("letters.txt", "mine");
  EXPECT_NE(why_not(dir.path(), identity()).find("is not empty and holds no run, but letters.txt"),
            std::string::npos);
  const std::string file = dir.path() + "/letters.txt";
  EXPECT_NE(why_not(file, identity()), "");
  EXPECT_EQ(test::slurp(file), "mine");
}

TEST(RunFolder, DamagedRunFilesAreErrors) {
  const TempDir dir;
  ASSERT_EQ(why_not(dir.path(), identity()), "");
  const std::string whole = test::slurp(dir.path() + "/run.json");
  for (size_t length = 0; length < whole.size() - 2; length += 7) {
    dir.write("run.json", whole.substr(0, length));
    EXPECT_NE(why_not(dir.path(), identity()), "") << length;
  }
  for (const char* text : {"[]", "{}", "null", R"({"version": 2})",
                           R"({"version": 1, "ettin": "", "arm": "encoder", "recipe": "", )"
                           R"("tokenizer": "", "data": {}})",
                           R"({"version": 1, "ettin": "", "arm": "encoder", "recipe": "", )"
                           R"("tokenizer": "", "data": [7]})"}) {
    dir.write("run.json", text);
    EXPECT_FALSE(read_run_identity(dir.path()).ok()) << text;
  }
}

TEST(RunFolder, OneTrainerAtATime) {
  ETTIN_NEED_FORK();
  const TempDir dir;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto run = RunFolder::open(dir.path(), identity(), kYaml);
    const char ok = run.ok() ? 'y' : 'n';
    if (::write(ready[1], &ok, 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char ok = 0;
  ASSERT_EQ(::read(ready[0], &ok, 1), 1);
  EXPECT_EQ(ok, 'y');
  const std::string why = why_not(dir.path(), identity());
  EXPECT_NE(why.find("another trainer is at work"), std::string::npos) << why;
  EXPECT_NE(why.find("process " + std::to_string(child)), std::string::npos) << why;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(why_not(dir.path(), identity()), "");  // a dead trainer holds nothing
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace ettin
