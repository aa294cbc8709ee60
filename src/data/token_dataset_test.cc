#include "data/token_dataset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "base/test_files.h"
#include "formats/mds_writer.h"

namespace ettin {
namespace {

using test::TempDir;

constexpr SequenceEnds kEnds{50281, 50282};
const std::string kGolden = ETTIN_SHARED_DIR "/data/golden/mds";

// A folder of `count` sequences: {first + i, first + i}.
void write_set(const std::string& folder, uint32_t count, uint32_t first = 0) {
  std::filesystem::create_directories(folder);
  auto writer = MdsWriter::create(
      folder, {.columns = {{"input_ids", "ndarray:uint16"}, {"id", "str"}}, .size_limit = 400});
  ASSERT_TRUE(writer.ok());
  for (uint32_t i = 0; i < count; ++i) {
    const std::vector<uint16_t> ids(2, static_cast<uint16_t>(first + i));
    ASSERT_TRUE(writer
                    ->add(std::vector<MdsValue>{
                        "doc" + std::to_string(i),
                        MdsArray{MdsDtype::u16, {2}, std::as_bytes(std::span(ids))}})
                    .ok());
  }
  ASSERT_TRUE(writer->finish().ok());
  EXPECT_GT(writer->shards().size(), 1u);
}

TEST(TokenDataset, LoaderRepair) {
  if (!directory_exists(kGolden)) GTEST_SKIP() << "SKIPPED: " << kGolden << " is not there";
  const Json expected = *parse_json_file(kGolden + "/expected.json", {.big_integers = true});
  for (const char* name : {"/plain", "/zstd"}) {
    const DatasetPart part{kGolden + name, 1};
    const auto data = TokenDataset::open(std::span(&part, 1), kEnds, 50368);
    ASSERT_TRUE(data.ok()) << data.status().to_string();
    EXPECT_EQ(data->size(), 14);
    for (const Json& c : expected["loader_repair"]) {
      const auto ids = data->sequence(c["index"].get<int64_t>(), c["max_seq_len"].get<int64_t>());
      ASSERT_TRUE(ids.ok()) << ids.status().to_string();
      EXPECT_EQ(Json(*ids), c["output"]) << c["index"] << " at " << c["max_seq_len"];
    }
    for (size_t i = 0; i < 14; ++i) {
      const auto stored = TokenDataset::open(std::span(&part, 1), {}, 50368)
                              ->sequence(static_cast<int64_t>(i), 100000);
      EXPECT_EQ(Json(*stored), expected["samples"][i]["input_ids"]) << "repaired unasked";
    }
  }
}

TEST(TokenDataset, OriginNamesShardSampleAndId) {
  const TempDir folder;
  write_set(folder.path(), 30);
  const DatasetPart part{folder.path(), 1};
  const auto data = TokenDataset::open(std::span(&part, 1), {}, 100);
  ASSERT_TRUE(data.ok()) << data.status().to_string();
  EXPECT_EQ(data->origin(0), folder.path() + "/shard.00000.mds sample 0, doc0");
  const std::string last = data->origin(29);
  EXPECT_NE(last.find(", doc29"), std::string::npos) << last;
  EXPECT_EQ(last.find("shard.00000"), std::string::npos) << last;
}

TEST(TokenDataset, IdsBeyondTheVocabularyNameShardAndSample) {
  const TempDir folder;
  write_set(folder.path(), 30);
  const DatasetPart part{folder.path(), 1};
  const auto data = TokenDataset::open(std::span(&part, 1), {}, 4);
  ASSERT_TRUE(data.ok());
  EXPECT_TRUE(data->sequence(3, 10).ok());
  const Status status = data->sequence(4, 10).status();
  EXPECT_EQ(status.code(), StatusCode::bad_data);
  EXPECT_NE(status.message().find("shard.00000.mds sample 4: the id at place 0"), std::string::npos)
      << status.message();
}

TEST(TokenDataset, Weights) {
  const TempDir folder;
  write_set(folder.path() + "/a", 40);
  write_set(folder.path() + "/b", 25, 1000);
  write_set(folder.path() + "/c", 25, 2000);
  const std::vector<DatasetPart> parts = {
      {folder.path() + "/a", 2.25}, {folder.path() + "/c", 0}, {folder.path() + "/b", 0.6}};
  const auto data = TokenDataset::open(parts, {}, 5000);
  ASSERT_TRUE(data.ok()) << data.status().to_string();
  ASSERT_EQ(data->size(), 80 + 10 + 15);
  std::map<int32_t, int> counts;
  for (int64_t i = 0; i < data->size(); ++i) {
    const auto ids = data->sequence(i, 10);
    ASSERT_TRUE(ids.ok());
    ++counts[(*ids)[0]];
    if (i < 40) {
      EXPECT_EQ((*ids)[0], i);
    }
  }
  int thrice = 0, of_b = 0;
  for (const auto& [id, count] : counts) {
    if (id < 1000) {
      EXPECT_TRUE(count == 2 || count == 3) << id;
      thrice += count == 3;
    } else {
      EXPECT_EQ(count, 1) << id;
      ++of_b;
    }
  }
  EXPECT_EQ(thrice, 10);
  EXPECT_EQ(of_b, 15);
  const auto again = TokenDataset::open(parts, {}, 5000);
  for (int64_t i = 80; i < data->size(); ++i) {
    EXPECT_EQ(*again->sequence(i, 10), *data->sequence(i, 10)) << "the selection is fixed";
  }
  for (const double weight : {-1.0, std::nan(""), 1e9}) {
    const DatasetPart part{folder.path() + "/a", weight};
    EXPECT_FALSE(TokenDataset::open(std::span(&part, 1), {}, 5000).ok()) << weight;
  }
}

TEST(TokenDataset, IdentityFollowsContentsAndWeightsButNotPlaces) {
  const TempDir folder;
  write_set(folder.path() + "/a", 40);
  write_set(folder.path() + "/copy", 40);
  write_set(folder.path() + "/more", 41);
  const auto identity = [&](const char* name, double weight) {
    const DatasetPart part{folder.path() + name, weight};
    return TokenDataset::open(std::span(&part, 1), {}, 5000)->identity();
  };
  EXPECT_EQ(identity("/a", 1), identity("/copy", 1));
  EXPECT_NE(identity("/a", 1), identity("/more", 1));
  EXPECT_NE(identity("/a", 1), identity("/a", 1.5));
}

TEST(TokenDataset, RefusesWhatIsNoTokens) {
  const TempDir folder;
  const DatasetPart part{folder.path(), 1};
  EXPECT_EQ(TokenDataset::open(std::span(&part, 1), {}, 10).status().code(), StatusCode::not_found);
  auto writer = MdsWriter::create(folder.path(), {.columns = {{"input_ids", "str"}}});
  ASSERT_TRUE(writer->add(std::vector<MdsValue>{std::string("x")}).ok());
  ASSERT_TRUE(writer->finish().ok());
  const Status status = TokenDataset::open(std::span(&part, 1), {}, 10).status();
  EXPECT_EQ(status.code(), StatusCode::bad_data);
  EXPECT_NE(status.message().find("input_ids"), std::string::npos);
}

}  // namespace
}  // namespace ettin
