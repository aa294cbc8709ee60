// What a cache must hold to count as a model, and what a blob must be to be accepted.
#include "hub/pull.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/test_files.h"
#include "hub/client.h"

namespace ettin {
namespace {

const std::string kCommit(40, 'a');
const std::string kBlob(64, 'c'), kOther(64, 'd');

class PullTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(cache_.make_folders().ok());
    ASSERT_TRUE(cache_.set_revision("main", kCommit).ok());
  }

  void add(const std::string& path, const std::string& etag, std::string_view contents) {
    ASSERT_TRUE(write_file_atomic(cache_.blob(etag), contents).ok());
    ASSERT_TRUE(cache_.link(kCommit, path, etag).ok());
  }
  std::optional<std::string> found(bool offline = false, const std::string& dtype = "auto") {
    HubSettings settings;
    settings.cache = folder_.path();
    settings.offline = offline;
    WantedFiles wanted;
    wanted.dtype = dtype;
    return find_in_cache({"org/name", "main"}, settings, wanted);
  }

  test::TempDir folder_;
  CachedRepository cache_{folder_.path(), "org/name"};
};

TEST_F(PullTest, AModelIsFoundOnlyWhenItIsComplete) {
  EXPECT_FALSE(found());
  add("config.json", kBlob, "{}");
  EXPECT_FALSE(found());
  add("model.safetensors", kOther, "x");
  EXPECT_FALSE(found()) << "nothing says that there is no tokenizer";
  EXPECT_TRUE(found(true));
  ASSERT_TRUE(cache_.mark_absent(kCommit, "tokenizer.json").ok());
  EXPECT_EQ(found(), cache_.snapshot(kCommit));
  std::filesystem::remove(cache_.blob(kOther));
  EXPECT_FALSE(found(true)) << "a link without its blob";
}

TEST_F(PullTest, AnIndexNeedsItsShards) {
  add("config.json", kBlob, "{}");
  add("model.safetensors.index.json", std::string(64, '1'),
      R"({"weight_map": {"x": "model-00001-of-00002.safetensors",
                         "y": "model-00002-of-00002.safetensors"}})");
  add("model-00001-of-00002.safetensors", std::string(64, '2'), "x");
  EXPECT_FALSE(found(true));
  add("model-00002-of-00002.safetensors", std::string(64, '3'), "y");
  EXPECT_TRUE(found(true));
}

TEST_F(PullTest, AnotherDtypesFileIsNotTaken) {
  add("config.json", kBlob, "{}");
  add("tokenizer.json", kBlob, "{}");
  add("onnx/model_q4.onnx", kOther, "x");
  EXPECT_TRUE(found(false, "q4"));
  EXPECT_FALSE(found(false, "fp32"));
  EXPECT_FALSE(found()) << "auto prefers fp32, which the hub may have";
}

// A blob's folder is below a folder of the snapshot; loading must follow the link, and no other.
TEST_F(PullTest, FilesInFoldersAreFollowedToTheirBlobs) {
  add("onnx/model.onnx", kOther, "x");
  const std::string onnx = cache_.file(kCommit, "onnx");
  EXPECT_TRUE(resolve_beneath(onnx, "model.onnx").ok());
  std::filesystem::create_symlink("/etc/passwd", onnx + "/evil");
  EXPECT_FALSE(resolve_beneath(onnx, "evil").ok());
}

TEST_F(PullTest, BlobsAreCheckedAgainstTheirNames) {
  const auto accepts = [&](std::string_view contents, const std::string& etag) {
    EXPECT_TRUE(write_file_atomic(cache_.blob(etag) + ".incomplete", contents).ok());
    return accept_blob(cache_, {"f", etag, contents.size()});
  };
  // `git hash-object` and `sha256sum` of "hello\n".
  const std::string git = "ce013625030ba8dba906f756967f9e9ca394464a";
  const std::string sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
  EXPECT_TRUE(accepts("hello\n", git).ok());
  EXPECT_TRUE(accepts("hello\n", sha256).ok());
  EXPECT_TRUE(file_exists(cache_.blob(git)));
  for (const std::string& etag : {kCommit, kBlob}) {
    EXPECT_EQ(accepts("hello\n", etag).code(), StatusCode::bad_data);
    EXPECT_FALSE(file_exists(cache_.blob(etag)));
    EXPECT_FALSE(file_exists(cache_.blob(etag) + ".incomplete"));
  }
}

}  // namespace
}  // namespace ettin
