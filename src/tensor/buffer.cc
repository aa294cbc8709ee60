#include "tensor/buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/check.h"

namespace ettin {

Buffer::Buffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  void* p = nullptr;
  if (::posix_memalign(&p, alignment, bytes) != 0) throw std::bad_alloc();
  // The rest stays on small pages: of the matrices of a 150m model in fp32 it is 90 MB.
  if (alignment == kHugePage) ::madvise(p, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(p);
  owner_ = std::shared_ptr<const void>(p, [](const void* q) { std::free(const_cast<void*>(q)); });
}

Buffer Buffer::borrow(std::shared_ptr<const void> owner, std::span<const std::byte> bytes) {
  ETTIN_CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % 64 == 0);
  Buffer b;
  b.data_ = const_cast<std::byte*>(bytes.data());
  b.size_ = bytes.size();
  b.owner_ = std::move(owner);
  return b;
}

}  // namespace ettin
