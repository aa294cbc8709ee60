#include "formats/packed_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/test_files.h"

namespace ettin {
using test::slurp;
using test::TempDir;

namespace {

constexpr uint64_t kIdentity = 77;

std::shared_ptr<const Buffer> filled(size_t size, uint8_t value) {
  Buffer b(size);
  std::memset(b.data(), value, size);
  return std::make_shared<const Buffer>(std::move(b));
}

class PackedFileTest : public ::testing::Test {
 protected:
  PackedFileTest() {
    const Status written = PackedFile::write(
        path_, kIdentity, {filled(100, 1), filled(5000, 2), filled(64, 3)}, threads_);
    EXPECT_TRUE(written.ok()) << written.to_string();
  }

  Result<PackedFile> open(uint64_t identity = kIdentity) {
    return PackedFile::open(path_, identity, threads_);
  }

  void overwrite(size_t at, const std::string& bytes) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file << bytes;
  }

  std::string message(uint64_t identity = kIdentity) {
    const Result<PackedFile> file = open(identity);
    return file.ok() ? "ok" : file.status().message();
  }

  TempDir folder_;
  std::string path_ = folder_.path() + "/packed";
  ThreadPool threads_{2};
};

TEST_F(PackedFileTest, GivesBackWhatWasWritten) {
  const Result<PackedFile> file = open();
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  ASSERT_EQ(file->blobs().size(), 3u);
  const std::shared_ptr<const Buffer> blob = file->blobs()[1];
  EXPECT_EQ(blob->size(), 5000u);
  EXPECT_EQ(std::to_integer<int>(blob->data()[4999]), 2);
}

TEST_F(PackedFileTest, OfOtherWeightsIsNotFound) {
  EXPECT_EQ(open(kIdentity + 1).status().code(), StatusCode::not_found);
}

TEST_F(PackedFileTest, DamageIsNamed) {
  overwrite(4096 + 50, "x");
  EXPECT_NE(message().find("contents are damaged"), std::string::npos);
  overwrite(32 + 3, "x");
  EXPECT_NE(message().find("table is damaged"), std::string::npos);
  overwrite(16, std::string(8, '\xff'));
  EXPECT_NE(message().find("does not fit"), std::string::npos);
  overwrite(0, "zip");
  EXPECT_NE(message().find("not a file of packed weights"), std::string::npos);
}

TEST_F(PackedFileTest, TruncationIsNamed) {
  const std::string whole = slurp(path_);
  for (const size_t size : {size_t{0}, size_t{31}, size_t{60}, size_t{4096}, whole.size() - 1}) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    EXPECT_EQ(open().status().code(), StatusCode::bad_data) << size;
  }
}

}  // namespace
}  // namespace ettin
