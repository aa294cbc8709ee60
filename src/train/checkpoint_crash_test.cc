// Whatever ends a write - kill -9 at any moment, a file that may not grow, a place that cannot be
// written - leaves the checkpoints before it or the new one, whole.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/test_files.h"
#include "train/checkpoint.h"
#include "train/test_checkpoints.h"

namespace ettin {
namespace {

namespace fs = std::filesystem;
using test::kRecipe;
using test::make_tensors;
using test::small_config;
using test::TempDir;
using test::write_step;

const ModelConfig kConfig = small_config(kEncoder);

// The step that a run would go on from; it is whole, or the test fails.
int64_t resumed_step(const std::string& folder) {
  TrainTensors tensors = make_tensors(kConfig, 99);
  TrainState state;
  std::vector<std::string> warnings;
  const auto from =
      resume_from_newest(folder, kConfig, {kEncoder, kRecipe}, &state, &tensors, &warnings);
  EXPECT_TRUE(from.ok()) << from.status().to_string();
  EXPECT_TRUE(warnings.empty()) << warnings[0];
  if (!from.ok() || !*from) return -1;
  EXPECT_TRUE(test::is_of_step(kConfig, state, tensors, state.phase_step));
  return state.phase_step;
}

// Step 2 and retention, from a run that has step 1; or step 1 anew, in the place of another.
void write_and_retain(const std::string& folder, bool replace) {
  const bool ok =
      write_step(folder, kConfig, replace ? 1 : 2).ok() && apply_retention(folder, 1).ok();
  ::_exit(ok ? 0 : 1);
}

TEST(CheckpointCrash, KilledAtRandomTimes) {
  ETTIN_NEED_FORK();
  const TempDir dir(test::memory_folder());
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(write_step(dir.path(), kConfig, 1).ok());
  const auto whole = std::chrono::steady_clock::now() - began;
  int64_t step = 1, killed = 0;
  for (int i = 0; i < 50; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int64_t next = step + 1;; ++next) {
        if (!write_step(dir.path(), kConfig, next).ok()) ::_exit(1);
        if (!apply_retention(dir.path(), 1).ok()) ::_exit(1);
      }
    }
    std::this_thread::sleep_for(whole * (random_bits(3, 0, static_cast<uint64_t>(i)) % 3000) /
                                1000);
    ::kill(child, SIGKILL);
    int ended = 0;
    ASSERT_EQ(::waitpid(child, &ended, 0), child);
    killed += WIFSIGNALED(ended) ? 1 : 0;
    const int64_t now = resumed_step(dir.path());
    EXPECT_GE(now, step);
    step = now;
  }
  EXPECT_EQ(killed, 50);
  EXPECT_LE(list_folder(dir.path(), false)->size(), 2u);  // and nothing is left over
}

// The child is stopped before and after every call of the system and killed at the `n`-th stop.
// True when it ended before. nullopt: it cannot be traced here.
std::optional<bool> run_until(int n, const std::string& folder, bool replace) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(77);
    ::raise(SIGSTOP);
    write_and_retain(folder, replace);
  }
  int ended = 0;
  ::waitpid(child, &ended, 0);
  if (!WIFSTOPPED(ended)) return std::nullopt;
  for (int i = 0; i < n; ++i) {
    if (::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) != 0) return std::nullopt;
    ::waitpid(child, &ended, 0);
    if (!WIFSTOPPED(ended)) return true;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &ended, 0);
  return false;
}

class AtEveryCall : public testing::TestWithParam<bool> {};

TEST_P(AtEveryCall, OldOrNew) {
  ETTIN_NEED_FORK();
  const bool replace = GetParam();
  int kills = 0, old_ones = 0, new_ones = 0;
  // Every seventh stop, so that both sides of a call have their turn.
  for (int n = 1;; n += 7) {
    const TempDir dir(test::memory_folder());
    ASSERT_TRUE(write_step(dir.path(), kConfig, 1).ok());
    const auto done = run_until(n, dir.path(), replace);
    if (!done) GTEST_SKIP() << "SKIPPED: no ptrace here";
    const int64_t step = resumed_step(dir.path());
    ASSERT_TRUE(step == 1 || (step == 2 && !replace)) << "killed at " << n << ": " << step;
    (step == 1 ? old_ones : new_ones) += 1;
    // The next write finds nothing in its way, and nothing is left of the one that was cut off.
    ASSERT_TRUE(write_step(dir.path(), kConfig, 2).ok());
    const auto left = list_folder(dir.path(), false);
    for (const std::string& name : *left) ASSERT_NE(name[0], '.') << name;
    if (*done) break;
    ++kills;
  }
  EXPECT_GT(kills, 30);
  EXPECT_GT(old_ones, 0);
  EXPECT_EQ(new_ones > 0, !replace);
}
INSTANTIATE_TEST_SUITE_P(CheckpointCrash, AtEveryCall, testing::Bool(),
                         [](const auto& p) { return p.param ? "Replacing" : "New"; });

// A file may not grow beyond so many bytes: the same failure of write() as on a full disk.
TEST(CheckpointCrash, AFullDiskLeavesNothing) {
  ETTIN_NEED_FORK();
  const TempDir dir(test::memory_folder());
  ASSERT_TRUE(write_step(dir.path(), kConfig, 1).ok());
  uint64_t largest = 0;
  for (const auto& entry : fs::directory_iterator(dir.path() + "/step0000001")) {
    largest = std::max<uint64_t>(largest, entry.file_size());
  }
  for (uint64_t part = 0; part < 40; ++part) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlim_t limit = largest * part / 40;
      const rlimit most{limit, limit};
      if (::setrlimit(RLIMIT_FSIZE, &most) != 0) ::_exit(2);
      const auto written = write_step(dir.path(), kConfig, 2);
      if (written.ok()) ::_exit(3);
      const std::string text = written.status().to_string();
      const bool says = text.find("step0000002") != std::string::npos &&
                        text.find("File too large") != std::string::npos &&
                        text.find("make room") != std::string::npos;
      ::_exit(says ? 0 : 4);
    }
    int ended = 0;
    ASSERT_EQ(::waitpid(child, &ended, 0), child);
    ASSERT_TRUE(WIFEXITED(ended));
    ASSERT_EQ(WEXITSTATUS(ended), 0) << part;
    ASSERT_EQ(list_folder(dir.path(), false)->size(), 1u) << part;
  }
  EXPECT_EQ(resumed_step(dir.path()), 1);
}

TEST(CheckpointCrash, APlaceThatCannotBeWrittenIsAnError) {
  const TempDir dir(test::memory_folder());
  const std::string file = dir.write("checkpoints", "a file where the folder should be");
  const auto written = write_step(file, kConfig, 1);
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.status().message().find(file), std::string::npos);
  EXPECT_EQ(test::slurp(file), "a file where the folder should be");
  EXPECT_EQ(write_step(dir.path(), kConfig, 1, "../x").status().code(),
            StatusCode::invalid_argument);
}

}  // namespace
}  // namespace ettin
