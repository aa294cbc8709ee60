// Working memory that grows, is never given back and belongs to the calling thread.
#pragma once

#include <cstdint>

#include "tensor/buffer.h"

namespace ettin::cpu {

// Of one operation, read by all its tasks: prepared rows, packed keys and values. Aligned and valid
// as below.
inline std::byte* call_scratch(int64_t bytes) {
  static thread_local Buffer buffer;
  if (buffer.size() < static_cast<size_t>(bytes)) buffer = Buffer(static_cast<size_t>(bytes));
  return buffer.data();
}

// Of one task. 64-byte aligned, uninitialised, valid until the thread's next call.
inline float* thread_scratch(int64_t floats) {
  static thread_local Buffer buffer;
  const auto bytes = static_cast<size_t>(floats) * sizeof(float);
  if (buffer.size() < bytes) buffer = Buffer(bytes);
  return buffer.as<float>();
}

}  // namespace ettin::cpu
