#include "formats/alloc_probe.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<size_t> g_requested{0};
}  // namespace

// Every request of the test program passes here, so a length that a file merely declares and that
// somebody allocates is seen even where the pages are never touched.
void* operator new(size_t size) {
  g_requested += size;
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  g_requested += size;
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace ettin::test {

size_t bytes_requested() { return g_requested; }

}  // namespace ettin::test
