// How a thread computes with floats: rounding, and whether subnormal numbers are zero.
//
// An operand or a result below 2^-126 costs an Intel core some 150 cycles. Forward passes make none
// (backend/cpu/math-inl.h), but the gradients of a trained attention are full of them.
#pragma once

#include <cstdint>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace ettin {

// The control bits of the calling thread; 0 on a CPU that is not known here.
inline uint64_t float_mode() {
#if defined(__SSE__)
  constexpr unsigned kStatus = 0x3f;  // what happened so far, no mode
  return _mm_getcsr() & ~kStatus;
#elif defined(__aarch64__)
  uint64_t bits = 0;
  asm volatile("mrs %0, fpcr" : "=r"(bits));
  return bits;
#else
  return 0;
#endif
}

inline void set_float_mode(uint64_t mode) {
#if defined(__SSE__)
  _mm_setcsr(static_cast<unsigned>(mode));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(mode));
#else
  (void)mode;
#endif
}

// Subnormal numbers are zero in the calling thread, and in the regions of a ThreadPool that it
// runs, for as long as this lives.
class SubnormalsAreZero {
 public:
  SubnormalsAreZero() : before_(float_mode()) {
#if defined(__SSE__)
    constexpr uint64_t kResults = 1 << 15, kOperands = 1 << 6;  // FTZ, DAZ
    set_float_mode(before_ | kResults | kOperands);
#elif defined(__aarch64__)
    set_float_mode(before_ | uint64_t{1} << 24);  // FZ: both
#endif
  }
  ~SubnormalsAreZero() { set_float_mode(before_); }
  SubnormalsAreZero(const SubnormalsAreZero&) = delete;
  SubnormalsAreZero& operator=(const SubnormalsAreZero&) = delete;

 private:
  const uint64_t before_;
};

}  // namespace ettin
