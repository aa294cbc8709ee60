#include "data/build.h"

#include <gtest/gtest.h>

#include <map>

#include "base/file.h"
#include "base/rng.h"
#include "base/test_files.h"
#include "data/survey.h"
#include "data/token_dataset.h"

namespace ettin {
namespace {

using test::slurp;
using test::TempDir;

const std::string kTokenizer = ETTIN_SOURCE_DIR "/models/seedling-encoder";

std::string words(uint64_t stream, size_t count) {
  static constexpr const char* kWords[] = {"violin", "river", "stone", "kind",
                                           "of",     "a",     "green", "seven"};
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += (i ? " " : "") + std::string(kWords[random_bits(1, stream, i) % 8]);
  }
  return text;
}

class Build : public testing::Test {
 protected:
  void SetUp() override {
    std::string lines;
    for (uint64_t i = 0; i < 200; ++i) {
      lines += "{\"text\": \"" + words(i % 190, 5 + i % 190 % 100) + "\"}\n";
    }
    in_.write("docs/a.jsonl", lines);
    in_.write("docs/b.txt", words(1000, 400));
  }

  BuildOptions options(const std::string& out) const {
    BuildOptions options;
    options.inputs = {in_.path() + "/docs"};
    options.out = out_.path() + "/" + out;
    options.tokenizer = kTokenizer;
    options.chunk.max_length = 64;
    options.chunk.min_length = 32;
    options.chunk.skip_below = 2;
    options.min_tokens = 8;
    options.size_limit = 8192;
    options.threads = 1;
    return options;
  }

  // Names and contents of all files below.
  std::map<std::string, std::string> files(const std::string& out) const {
    std::map<std::string, std::string> all;
    const std::string folder = out_.path() + "/" + out;
    const auto names = list_folder(folder, true);
    for (const std::string& name : *names) {
      if (file_exists(folder + "/" + name)) all[name] = slurp(folder + "/" + name);
    }
    return all;
  }

  TempDir in_, out_;
};

TEST_F(Build, CountsAddUpAndTheDataIsWhole) {
  const auto report = build_dataset(options("x"));
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  const Json& stats = report->stats;
  EXPECT_EQ(stats["documents"], 201);
  EXPECT_EQ(stats["duplicates"], 10);
  EXPECT_GT(stats["too_short"].get<int>(), 0);
  EXPECT_EQ(stats["sets"]["train"]["documents"].get<int>() + stats["too_short"].get<int>(), 191);
  EXPECT_EQ(stats["sources"].size(), 2u);
  EXPECT_EQ(*parse_json_file(options("x").out + "/stats.json"), stats);

  const auto survey = survey_dataset(options("x").out);
  ASSERT_TRUE(survey.ok());
  EXPECT_EQ(survey->sequences, stats["chunks"].get<int64_t>());
  EXPECT_EQ(survey->tokens, stats["tokens"].get<int64_t>());
  EXPECT_LE(survey->longest, 63);
  const auto whole =
      verify_dataset(options("x").out, stats["settings"]["vocab_size"].get<int64_t>());
  EXPECT_TRUE(whole->damage.empty());

  const DatasetPart part{options("x").out, 1};
  const auto data = TokenDataset::open(std::span(&part, 1), {}, 100000);
  ASSERT_TRUE(data.ok());
  const int32_t cls = stats["settings"]["cls_id"].get<int32_t>();
  for (int64_t i = 0; i < data->size(); ++i) EXPECT_EQ((*data->sequence(i, 64))[0], cls);
  EXPECT_NE(data->origin(data->size() - 1).find("docs/b.txt#0-"), std::string::npos);
}

TEST_F(Build, ThreadsChangeNothing) {
  BuildOptions one = options("one"), two = options("two");
  one.compression = two.compression = "zstd";
  two.threads = 3;
  ASSERT_TRUE(build_dataset(one).ok());
  ASSERT_TRUE(build_dataset(two).ok());
  EXPECT_EQ(files("one"), files("two"));
}

// A build that ends after each of its shards in turn, as if it had been killed there.
TEST_F(Build, GoesOnWhereItStopped) {
  BuildOptions whole = options("whole");
  whole.holdout = 0.2;
  whole.size_limit = 3000;
  int shards = 0;
  whole.on_progress = [&](uint64_t, uint64_t) { ++shards; };
  ASSERT_TRUE(build_dataset(whole).ok());
  const auto expected = files("whole");
  ASSERT_GT(shards, 5);

  struct Killed {};
  BuildOptions again = options("again");
  again.holdout = 0.2;
  again.size_limit = whole.size_limit;
  int kills = 0;
  for (bool done = false; !done && kills < 3 * shards;) {
    const std::string progress = slurp(again.out + "/progress.json");
    again.on_progress = [&](uint64_t, uint64_t) {
      if (kills == 0 || slurp(again.out + "/progress.json") != progress) throw Killed();
    };
    try {
      const auto report = build_dataset(again);
      ASSERT_TRUE(report.ok()) << report.status().to_string();
      EXPECT_TRUE(report->resumed);
      done = true;
    } catch (const Killed&) {
      ++kills;
      std::ofstream(again.out + "/train/shard.00001.mds.tmp-99") << "half a shard";
      // The shard after the last that was noted may be there too.
      std::ofstream(again.out + "/validation/shard.00090.mds") << "not noted";
    }
    std::filesystem::remove(again.out + "/validation/shard.00090.mds");
  }
  EXPECT_GT(kills, 2);
  EXPECT_EQ(files("again"), expected);
}

TEST_F(Build, DoesNotGoOnWithOtherInputsOrOptions) {
  struct Killed {};
  BuildOptions build = options("x");
  build.on_progress = [](uint64_t, uint64_t) { throw Killed(); };  // after the first shard
  EXPECT_THROW((void)build_dataset(build), Killed);
  build.on_progress = {};
  BuildOptions other = build;
  other.chunk.seed = 1;
  EXPECT_EQ(build_dataset(other).status().code(), StatusCode::invalid_argument);
  std::filesystem::remove(build.out + "/shard.00000.mds");
  EXPECT_EQ(build_dataset(build).status().code(), StatusCode::bad_data);
  other.force = true;
  EXPECT_TRUE(build_dataset(other).ok());
  // Finished ones and folders of others are left alone.
  EXPECT_EQ(build_dataset(build).status().code(), StatusCode::invalid_argument);
  std::filesystem::create_directories(out_.path() + "/other");
  out_.write("other/precious", "x");
  BuildOptions into = options("other");
  into.force = true;
  EXPECT_EQ(build_dataset(into).status().code(), StatusCode::invalid_argument);
  EXPECT_TRUE(file_exists(out_.path() + "/other/precious"));
}

TEST_F(Build, HoldoutPartsByText) {
  BuildOptions all = options("all"), parted = options("parted");
  parted.holdout = 0.3;
  const auto a = build_dataset(all), b = build_dataset(parted);
  ASSERT_TRUE(a.ok() && b.ok());
  const Json& sets = b->stats["sets"];
  EXPECT_EQ(sets["train"]["chunks"].get<int>() + sets["validation"]["chunks"].get<int>(),
            a->stats["chunks"].get<int>());
  EXPECT_NEAR(sets["validation"]["documents"].get<double>() /
                  a->stats["sets"]["train"]["documents"].get<double>(),
              0.3, 0.1);
  EXPECT_TRUE(file_exists(parted.out + "/train/index.json"));
  EXPECT_TRUE(file_exists(parted.out + "/validation/index.json"));
}

TEST_F(Build, DamageIsFound) {
  BuildOptions build = options("x");
  build.hashes = {"xxh64"};
  ASSERT_TRUE(build_dataset(build).ok());
  const std::string path = build.out + "/shard.00001.mds";
  std::string bytes = slurp(path);
  bytes[bytes.size() - 3] ^= 1;
  std::ofstream(path, std::ios::binary) << bytes;
  auto found = verify_dataset(build.out, 0);
  ASSERT_EQ(found->damage.size(), 1u);
  EXPECT_EQ(found->damage[0].file, path);
  found = verify_dataset(build.out, 100);
  EXPECT_GT(found->damage.size(), 1u) << "ids are beyond 100";
  EXPECT_EQ(verify_dataset(out_.path(), 0).status().code(), StatusCode::not_found);
}

}  // namespace
}  // namespace ettin
