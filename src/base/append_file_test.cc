#include "base/append_file.h"

#include <sys/resource.h>

#include <csignal>

#include "base/test_files.h"

namespace ettin {
namespace {

TEST(AppendFile, KeepsWhatIsThereAndIsReadAtOnce) {
  const test::TempDir dir;
  const std::string path = dir.write("log", "one\n");
  Result<AppendFile> opened = AppendFile::open(path);
  ASSERT_TRUE(opened.ok()) << opened.status().to_string();
  AppendFile file(std::move(*opened));
  ASSERT_TRUE(file.append("two\n").ok());
  EXPECT_EQ(test::slurp(path), "one\ntwo\n");
  ASSERT_TRUE(file.append("").ok());
  ASSERT_TRUE(file.append("three\n").ok());
  EXPECT_EQ(test::slurp(path), "one\ntwo\nthree\n");
}

TEST(AppendFile, ARecordThatDoesNotFitLeavesNothing) {
  const test::TempDir dir;
  const std::string path = dir.path() + "/log";
  Result<AppendFile> file = AppendFile::open(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->append("kept\n").ok());
  // A limit on the size of files stands for a full disk: a write up to it is partial.
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {10, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = file->append("far too long a record\n");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), StatusCode::io_error);
  EXPECT_NE(status.message().find(path), std::string::npos);
  EXPECT_EQ(test::slurp(path), "kept\n");
  ASSERT_TRUE(file->append("later\n").ok());
  EXPECT_EQ(test::slurp(path), "kept\nlater\n");
}

TEST(AppendFile, RefusesWhatIsNoFile) {
  const test::TempDir dir;
  EXPECT_EQ(AppendFile::open(dir.path()).status().code(), StatusCode::io_error);
  EXPECT_EQ(AppendFile::open(dir.path() + "/none/log").status().code(), StatusCode::io_error);
  EXPECT_FALSE(AppendFile::open("/dev/null").ok());
}

}  // namespace
}  // namespace ettin
