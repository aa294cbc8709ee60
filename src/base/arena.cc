#include "base/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace ettin {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

Arena::~Arena() {
  for (const Block& b : blocks_) std::free(b.data);
}

void* Arena::allocate(size_t bytes) {
  bytes = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].size) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) {
    const size_t grown = std::max(bytes, blocks_.empty() ? most_ : capacity() / 2);
    const size_t size = (grown + kHugePage - 1) / kHugePage * kHugePage;
    void* p = std::aligned_alloc(kHugePage, size);
    if (p == nullptr) throw std::bad_alloc();
    ::madvise(p, size, MADV_HUGEPAGE);
    blocks_.push_back({static_cast<std::byte*>(p), size});
    used_ = 0;
  }
  void* result = blocks_[block_].data + used_;
  used_ += bytes;
  in_use_ += bytes;
  most_ = std::max(most_, in_use_);
  return result;
}

void Arena::reset() {
  release_to({});
  if (blocks_.size() < 2) return;
  for (const Block& b : blocks_) std::free(b.data);
  blocks_.clear();
}

size_t Arena::capacity() const {
  size_t total = 0;
  for (const Block& b : blocks_) total += b.size;
  return total;
}

}  // namespace ettin
