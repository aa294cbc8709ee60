// The chain, and a log that ends where its run does.
#include "train/data_log.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/test_files.h"

namespace ettin {
namespace {

using test::TempDir;

const std::vector<int32_t> kIds = {1, 2, 300, 50281};

DataLogEntry entry_at(int64_t step, const std::string& chain, int64_t shift = 0) {
  DataLogEntry e;
  e.phase_step = e.step = step;
  e.first = 4 * (step - 1);
  e.sequences = 4;
  e.tokens = 16;
  std::vector<FedSequence> batch;
  for (int64_t i = 0; i < 4; ++i) batch.push_back({e.first + i + shift, kIds});
  e.batch_hash = hash_batch(batch);
  e.chain = extend_chain(chain, e.batch_hash);
  return e;
}

// A log of `steps` steps; the chain after each, from step 0.
std::vector<std::string> write_log(const std::string& folder, int64_t steps) {
  std::vector<std::string> chains = {""};
  auto log = DataLog::open(folder, 0, "");
  EXPECT_TRUE(log.ok()) << log.status().to_string();
  for (int64_t step = 1; step <= steps; ++step) {
    const DataLogEntry e = entry_at(step, chains.back());
    EXPECT_TRUE(log->append(e).ok());
    chains.push_back(e.chain);
  }
  EXPECT_TRUE(log->sync().ok());
  return chains;
}

TEST(DataLog, HashesAreThoseOfTheirDefinition) {
  // sha256 of 5 as u64, 4 as u32, and the four ids as u32, all little-endian.
  const std::string bytes("\5\0\0\0\0\0\0\0\4\0\0\0\1\0\0\0\2\0\0\0\x2c\1\0\0\x69\xc4\0\0", 28);
  const std::string expected = sha256_hex(std::as_bytes(std::span(bytes)));
  const FedSequence one{5, kIds};
  EXPECT_EQ(hash_batch(std::span(&one, 1)), expected);
  std::string pair(32, '\0');
  for (size_t i = 0; i < 64; i += 2) {
    pair += static_cast<char>(std::stoi(expected.substr(i, 2), nullptr, 16));
  }
  EXPECT_EQ(extend_chain("", expected), sha256_hex(std::as_bytes(std::span(pair))));
  EXPECT_EQ(extend_chain(std::string(64, '0'), expected), extend_chain("", expected));
}

TEST(DataLog, AnyChangeOfTheDataChangesTheHash) {
  const std::vector<int32_t> more = {1, 2, 300, 50281, 0}, other = {1, 2, 301, 50281};
  const std::vector<FedSequence> a{{5, kIds}, {6, kIds}};
  const std::vector<std::vector<FedSequence>> changed{
      {{6, kIds}, {5, kIds}}, {{5, kIds}}, {{5, kIds}, {6, more}}, {{5, kIds}, {6, other}},
      {{5, kIds}, {7, kIds}}, {}};
  for (const auto& b : changed) EXPECT_NE(hash_batch(a), hash_batch(b));
}

TEST(DataLog, ReadsBackAndGoesOn) {
  const TempDir dir(test::memory_folder());
  const auto chains = write_log(dir.path(), 5);
  auto read = read_data_log(dir.path());
  ASSERT_TRUE(read.ok()) << read.status().to_string();
  ASSERT_EQ(read->size(), 5u);
  EXPECT_EQ((*read)[4].first, 16);
  EXPECT_EQ((*read)[4].chain, chains[5]);
  const std::string whole = test::slurp(dir.path() + "/data_log.csv");
  // Later lines go, and come again as they were.
  for (const int64_t steps : {5, 3, 1, 0}) {
    auto log = DataLog::open(dir.path(), steps, chains[static_cast<size_t>(steps)]);
    ASSERT_TRUE(log.ok()) << log.status().to_string();
    EXPECT_EQ(read_data_log(dir.path())->size(), static_cast<size_t>(steps));
    for (int64_t step = steps + 1; step <= 5; ++step) {
      ASSERT_TRUE(log->append(entry_at(step, chains[static_cast<size_t>(step - 1)])).ok());
    }
    EXPECT_EQ(test::slurp(dir.path() + "/data_log.csv"), whole);
  }
}

TEST(DataLog, ATornEndIsCutOff) {
  const TempDir dir(test::memory_folder());
  const auto chains = write_log(dir.path(), 3);
  const std::string whole = test::slurp(dir.path() + "/data_log.csv");
  for (size_t length = 0; length <= whole.size(); ++length) {
    for (const std::string& tail : {std::string(), std::string(300, '\0')}) {
      dir.write("data_log.csv", whole.substr(0, length) + tail);
      const auto lines = std::count(whole.begin(), whole.begin() + static_cast<long>(length), '\n');
      const int64_t steps = std::max<int64_t>(0, lines - 1);
      auto log = DataLog::open(dir.path(), steps, chains[static_cast<size_t>(steps)]);
      ASSERT_TRUE(log.ok()) << length << ": " << log.status().to_string();
      for (int64_t step = steps + 1; step <= 3; ++step) {
        ASSERT_TRUE(log->append(entry_at(step, chains[static_cast<size_t>(step - 1)])).ok());
      }
      ASSERT_EQ(test::slurp(dir.path() + "/data_log.csv"), whole) << length;
    }
  }
}

TEST(DataLog, ALogThatDoesNotLeadToTheChainIsRefused) {
  const TempDir dir(test::memory_folder());
  const auto chains = write_log(dir.path(), 4);
  const std::string whole = test::slurp(dir.path() + "/data_log.csv");
  const auto refused = [&](int64_t steps, const std::string& chain, const std::string& why) {
    const auto log = DataLog::open(dir.path(), steps, chain);
    ASSERT_FALSE(log.ok()) << why;
    EXPECT_NE(log.status().message().find(why), std::string::npos) << log.status().message();
    EXPECT_FALSE(log.status().hint().empty());
  };
  refused(5, chains[4], "ends after step 4, but the run has done 5");
  refused(3, chains[4], "the chain at step 3 is");
  refused(0, chains[1], "the chain at step 0 is empty");
  EXPECT_EQ(test::slurp(dir.path() + "/data_log.csv"), whole);  // nothing was cut
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string text = whole;
    text[at] ^= 1;
    dir.write("data_log.csv", text);
    const auto entries = read_data_log(dir.path());
    if (!entries.ok()) continue;
    // Numbers that no hash covers, or a last line that is not whole any more.
    const bool last = at + 1 == whole.size() && entries->size() == 3;
    EXPECT_TRUE(last || (text[at] >= '0' && text[at] <= '9')) << at;
  }
  std::filesystem::remove(dir.path() + "/data_log.csv");
  refused(4, chains[4], "no such file, but the run has done 4 steps");
  dir.write("data_log.csv", "a,b\n1,2\n");
  refused(0, "", "not a data log");
  EXPECT_EQ(read_data_log("/nowhere").status().code(), StatusCode::not_found);
}

TEST(DataLog, AFullDiskLeavesNoHalfLine) {
  ETTIN_NEED_FORK();
  const TempDir dir(test::memory_folder());
  const auto chains = write_log(dir.path(), 2);
  const std::string whole = test::slurp(dir.path() + "/data_log.csv");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    auto log = DataLog::open(dir.path(), 2, chains[2]);
    const rlimit most{whole.size() + 20, whole.size() + 20};
    if (!log.ok() || ::setrlimit(RLIMIT_FSIZE, &most) != 0) ::_exit(2);
    ::_exit(log->append(entry_at(3, chains[2])).ok() ? 3 : 0);
  }
  int ended = 0;
  ASSERT_EQ(::waitpid(child, &ended, 0), child);
  EXPECT_EQ(WEXITSTATUS(ended), 0);
  EXPECT_EQ(test::slurp(dir.path() + "/data_log.csv"), whole);
}

}  // namespace
}  // namespace ettin
