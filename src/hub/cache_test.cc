#include "hub/cache.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/test_files.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;

const std::string kCommit(40, 'c'), kOther(40, 'd');
const std::string kBlob(64, 'a'), kShared(40, 'b');

TEST(RepositoryPath, TraversalIsRefused) {
  EXPECT_TRUE(is_repository_path("onnx/model.onnx_data"));
  for (const char* bad :
       {"", "/etc/passwd", "..", "a/../b", "a//b", "a/", "./a", "a\\b", "a\nb", "\xff"}) {
    EXPECT_FALSE(is_repository_path(bad)) << bad;
  }
  EXPECT_FALSE(is_repository_path(std::string_view("a\0b", 3)));
}

TEST(BlobName, OnlyDigestsAreNames) {
  EXPECT_TRUE(is_blob_name(kBlob));
  EXPECT_TRUE(is_blob_name(kShared));
  EXPECT_FALSE(is_blob_name("../x"));
  EXPECT_FALSE(is_blob_name(std::string(40, 'A')));
}

class CacheTest : public testing::Test {
 protected:
  void fill(const std::string& commit, const std::string& path, const std::string& blob) {
    ASSERT_TRUE(cache_.make_folders().ok());
    folder_.write("models--org--name/blobs/" + blob, "contents of " + blob);
    ASSERT_TRUE(cache_.link(commit, path, blob).ok());
  }
  bool has_blob(const std::string& blob) const { return fs::exists(cache_.blob(blob)); }

  test::TempDir folder_;
  CachedRepository cache_{folder_.path(), "org/name"};
};

// One step more for every folder of the path.
TEST_F(CacheTest, LinksAreRelative) {
  fill(kCommit, "config.json", kShared);
  fill(kCommit, "onnx/model.onnx", kBlob);
  EXPECT_EQ(fs::read_symlink(cache_.file(kCommit, "config.json")), "../../blobs/" + kShared);
  EXPECT_EQ(fs::read_symlink(cache_.file(kCommit, "onnx/model.onnx")), "../../../blobs/" + kBlob);
  EXPECT_EQ(test::slurp(cache_.file(kCommit, "onnx/model.onnx")), "contents of " + kBlob);
}

TEST_F(CacheTest, RevisionsAreLooked) {
  EXPECT_EQ(cache_.commit_of("main"), std::nullopt);
  EXPECT_EQ(cache_.commit_of(kCommit), kCommit);
  ASSERT_TRUE(cache_.make_folders().ok());
  ASSERT_TRUE(cache_.set_revision("refs/pr/1", kCommit).ok());
  EXPECT_EQ(test::slurp(folder_.path() + "/models--org--name/refs/refs/pr/1"), kCommit);
  EXPECT_EQ(cache_.commit_of("refs/pr/1"), kCommit);
  folder_.write("models--org--name/refs/bad", "../../..");
  EXPECT_EQ(cache_.commit_of("bad"), std::nullopt);
  EXPECT_EQ(cache_.commit_of("../blobs/x"), std::nullopt);
}

TEST_F(CacheTest, RemovingARevisionKeepsWhatAnotherUses) {
  fill(kCommit, "config.json", kShared);
  fill(kCommit, "model.safetensors", kBlob);
  fill(kOther, "config.json", kShared);
  ASSERT_TRUE(cache_.set_revision("main", kCommit).ok());
  const auto models = list_cache(folder_.path());
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].repository, "org/name");
  EXPECT_EQ(models[0].revisions.size(), 2u);
  ASSERT_TRUE(cache_.remove_revision(kCommit).ok());
  EXPECT_FALSE(has_blob(kBlob));
  EXPECT_TRUE(has_blob(kShared));
  EXPECT_EQ(cache_.commit_of("main"), std::nullopt);
  folder_.write("models--org--other/blobs/x", "x");
  ASSERT_TRUE(cache_.remove().ok());
  EXPECT_FALSE(fs::exists(cache_.folder()));
  EXPECT_TRUE(fs::exists(folder_.path() + "/models--org--other/blobs/x"));
}

TEST_F(CacheTest, OneHolderOfALock) {
  ASSERT_TRUE(cache_.make_folders().ok());
  {
    const auto first = FileLock::try_lock(cache_.lock_file(kBlob));
    ASSERT_TRUE(first.ok() && *first);
    const auto second = FileLock::try_lock(cache_.lock_file(kBlob));
    ASSERT_TRUE(second.ok());
    EXPECT_FALSE(second->has_value());
  }
  const auto third = FileLock::try_lock(cache_.lock_file(kBlob));
  EXPECT_TRUE(third.ok() && third->has_value());
}

}  // namespace
}  // namespace ettin
