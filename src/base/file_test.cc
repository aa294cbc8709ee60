#include "base/file.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/hash.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::temp_directory_path() / (std::string("ettin_file_") + info->name());
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  fs::path dir_;
};

TEST_F(FileTest, WritesAtomicallyAndReadsBack) {
  ASSERT_TRUE(write_file_atomic(path("a"), "hello").ok());
  ASSERT_TRUE(write_file_atomic(path("a"), "hello again").ok());
  EXPECT_EQ(*read_file(path("a"), 100), "hello again");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), fs::directory_iterator()), 1);
  EXPECT_EQ(read_file(path("a"), 3).status().code(), StatusCode::resource_limit);
  EXPECT_EQ(read_file(path("none"), 3).status().code(), StatusCode::not_found);
  EXPECT_EQ(read_file(dir_.string(), 3).status().code(), StatusCode::invalid_argument);
  EXPECT_FALSE(write_file_atomic(path("no/such/dir"), "x").ok());
}

// Catches a file that shows before it is whole, or that stays behind when the work is given up.
TEST_F(FileTest, WritesInPiecesAndOnlyWhenCommitted) {
  const auto piece = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  {
    Result<OutputFile> file = OutputFile::create(path("a"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write_at(3, piece("def")).ok());
    ASSERT_TRUE(file->write_at(0, piece("abc")).ok());
    OutputFile moved = *std::move(file);
    EXPECT_FALSE(file_exists(path("a")));
    ASSERT_TRUE(moved.commit().ok());
    EXPECT_EQ(*read_file(path("a"), 100), "abcdef");
  }
  {
    Result<OutputFile> file = OutputFile::create(path("a"));
    ASSERT_TRUE(file->write_at(0, piece("x")).ok());
  }
  EXPECT_EQ(*read_file(path("a"), 100), "abcdef");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), fs::directory_iterator()), 1);
}

TEST_F(FileTest, Maps) {
  ASSERT_TRUE(write_file_atomic(path("a"), "abc").ok());
  ASSERT_TRUE(write_file_atomic(path("empty"), "").ok());
  Result<MappedFile> f = MappedFile::open(path("a"));
  ASSERT_TRUE(f.ok());
  EXPECT_EQ(f->bytes().size(), 3u);
  EXPECT_EQ(sha256_hex(f->bytes()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const MappedFile moved = std::move(*f);
  EXPECT_EQ(static_cast<char>(moved.bytes()[2]), 'c');
  EXPECT_EQ(MappedFile::open(path("empty"))->bytes().size(), 0u);
}

TEST_F(FileTest, NamesFromFilesCannotLeaveTheDirectory) {
  ASSERT_TRUE(write_file_atomic(path("ok.bin"), "x").ok());
  EXPECT_TRUE(resolve_beneath(dir_.string(), "ok.bin").ok());
  for (const char* name : {"..", ".", "", "../x", "/etc/passwd", "a/b", "a\\b", "a b", "c:x"}) {
    EXPECT_EQ(resolve_beneath(dir_.string(), name).status().code(), StatusCode::bad_data) << name;
  }
  fs::create_symlink("/etc/passwd", dir_ / "link");
  EXPECT_EQ(resolve_beneath(dir_.string(), "link").status().code(), StatusCode::bad_data);
  fs::create_symlink("ok.bin", dir_ / "inside");
  EXPECT_TRUE(resolve_beneath(dir_.string(), "inside").ok());
}

TEST_F(FileTest, HubCacheLinksStayInsideTheirRepository) {
  const fs::path repo = dir_ / "models--a--b", snapshot = repo / "snapshots" / "abc";
  fs::create_directories(snapshot);
  fs::create_directories(repo / "blobs");
  ASSERT_TRUE(write_file_atomic((repo / "blobs" / "hash").string(), "x").ok());
  ASSERT_TRUE(write_file_atomic(path("outside"), "x").ok());
  fs::create_symlink("../../blobs/hash", snapshot / "model.safetensors");
  fs::create_symlink("../../../outside", snapshot / "evil");
  EXPECT_TRUE(resolve_beneath(snapshot.string(), "model.safetensors").ok());
  EXPECT_FALSE(resolve_beneath(snapshot.string(), "evil").ok());
}

TEST_F(FileTest, ListsFoldersWithoutFollowingLinks) {
  fs::create_directories(dir_ / "a/b");
  std::ofstream(dir_ / "a/b/c") << "x";
  fs::create_symlink(dir_, dir_ / "a/up");
  const auto sorted = [&](bool deep) {
    auto paths = list_folder(dir_.string(), deep);
    EXPECT_TRUE(paths.ok());
    std::sort(paths->begin(), paths->end());
    return *paths;
  };
  EXPECT_EQ(sorted(false), (std::vector<std::string>{"a"}));
  EXPECT_EQ(sorted(true), (std::vector<std::string>{"a", "a/b", "a/b/c", "a/up"}));
  EXPECT_TRUE(list_folder((dir_ / "absent").string(), true)->empty());
  EXPECT_EQ(list_folder((dir_ / "a/b/c").string(), true).status().code(), StatusCode::io_error);
}

}  // namespace
}  // namespace ettin
