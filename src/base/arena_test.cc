#include "base/arena.h"

#include <cstring>

#include <gtest/gtest.h>

namespace ettin {
namespace {

TEST(Arena, AllocationsAreAlignedDistinctAndReused) {
  Arena arena;
  auto* a = arena.allocate_array<float>(1000);
  auto* b = arena.allocate_array<float>(3 << 20);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b) % 64, 0u);
  std::memset(a, 1, 4000);
  std::memset(b, 2, size_t{12} << 20);
  EXPECT_EQ(reinterpret_cast<unsigned char*>(a)[3999], 1);
  // One block from now on, without the end of the first that nothing fitted into.
  arena.reset();
  a = arena.allocate_array<float>(1000);
  b = arena.allocate_array<float>(3 << 20);
  EXPECT_EQ(arena.capacity(), size_t{14} << 20);
  arena.reset();
  EXPECT_EQ(arena.allocate_array<float>(1000), a);
  EXPECT_EQ(arena.allocate_array<float>(3 << 20), b);
}

TEST(Arena, MarkReleases) {
  Arena arena;
  arena.allocate(100);
  const Arena::Mark mark = arena.mark();
  void* p = arena.allocate(size_t{8} << 20);
  arena.release_to(mark);
  EXPECT_EQ(arena.allocate(size_t{8} << 20), p);
}

}  // namespace
}  // namespace ettin
