// Scratch memory with the life of one call, reused by the next: bump allocation from large blocks
// (2 MiB aligned, huge pages where the system gives them). First touch of memory is slow, so
// nothing is returned to the system between calls, but that several blocks become one, as large as
// the most that was in use. Not thread-safe: one arena per running call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ettin {

class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 64-byte aligned, uninitialised; valid until reset() or release_to() an earlier mark.
  void* allocate(size_t bytes);

  template <class T>
  T* allocate_array(int64_t count) {
    return static_cast<T*>(allocate(static_cast<size_t>(count) * sizeof(T)));
  }

  struct Mark {
    size_t block = 0;
    size_t used = 0;
    size_t in_use = 0;
  };
  Mark mark() const { return {block_, used_, in_use_}; }
  void release_to(Mark m) {
    block_ = m.block;
    used_ = m.used;
    in_use_ = m.in_use;
  }
  void reset();

  size_t capacity() const;

 private:
  struct Block {
    std::byte* data;
    size_t size;
  };
  std::vector<Block> blocks_;
  size_t block_ = 0;   // index of the block in use
  size_t used_ = 0;    // bytes used in it
  size_t in_use_ = 0;  // in all blocks, without the ends that nothing fitted into
  size_t most_ = 0;    // of in_use_, ever
};

}  // namespace ettin
