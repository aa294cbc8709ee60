#include "machine.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

namespace ettin::cli {
namespace {

TEST(Machine, ProcessorNameIsTheFirstProcessors) {
  EXPECT_EQ(processor_name("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\n"
                           "model\t\t: 17\nmodel name\t: AMD EPYC\nstepping\t: 1\n\n"
                           "processor\t: 1\ncpu family\t: 6\nmodel\t\t: 1\n"),
            "AMD EPYC (family 25, model 17)");
  EXPECT_EQ(processor_name("CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"), "ARM 0x41 0xd0c");
  EXPECT_EQ(processor_name("model name :"), "unknown");
  EXPECT_EQ(processor_name(""), "unknown");
  EXPECT_FALSE(processor_name().empty());
}

TEST(Machine, CommitIsKnownOrSaysThatItIsNot) { EXPECT_GE(source_commit().size(), 7u); }

// What was touched and given back inside a pause is not counted; what came before still is.
TEST(MemoryMeter, ForgetsWhatHappenedInAPause) {
  constexpr size_t kBytes = size_t{96} << 20;
  const auto touch = [] {
    void* const block =
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(block, MAP_FAILED);
    for (size_t i = 0; i < kBytes; i += 4096) static_cast<volatile char*>(block)[i] = 1;
    ::munmap(block, kBytes);
  };
  MemoryMeter meter;
  const int64_t start = meter.mib();
  meter.pause();
  touch();
  meter.resume();
  EXPECT_LT(meter.mib(), start + 48);
  touch();
  EXPECT_GT(meter.mib(), start + 80);
  meter.pause();
  meter.resume();
  EXPECT_GT(meter.mib(), start + 80);
}

}  // namespace
}  // namespace ettin::cli
