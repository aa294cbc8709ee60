// Working memory of one task: grows, is never given back, belongs to the calling thread.
#pragma once

#include <cstdint>

#include "tensor/buffer.h"

namespace ettin::cpu {

// 64-byte aligned, uninitialised, valid until the thread's next call.
inline float* thread_scratch(int64_t floats) {
  static thread_local Buffer buffer;
  const auto bytes = static_cast<size_t>(floats) * sizeof(float);
  if (buffer.size() < bytes) buffer = Buffer(bytes);
  return buffer.as<float>();
}

}  // namespace ettin::cpu
