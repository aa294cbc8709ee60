// Hashing of byte strings and keys that a file chose. The seed differs from process to process, so
// that no file can be made whose keys all collide; nothing that ettin computes depends on it.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>

namespace ettin {

inline uint64_t hash_seed() {
  static const uint64_t seed = [] {
    std::random_device device;
    return (uint64_t{device()} << 32) | device();
  }();
  return seed;
}

// Both halves of the 128-bit product: every bit of either factor reaches every bit of the result.
inline uint64_t fold_multiply(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline constexpr uint64_t kHashFactor = 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio

inline uint64_t hash_bytes(std::string_view bytes, uint64_t seed) {
  uint64_t hash = seed ^ bytes.size();
  const char* p = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, p += 8) {
    uint64_t word = 0;
    std::memcpy(&word, p, 8);
    hash = fold_multiply(hash ^ word, kHashFactor);
  }
  uint64_t tail = 0;
  if (left > 0) std::memcpy(&tail, p, left);
  return fold_multiply(hash ^ tail, kHashFactor ^ seed);
}

}  // namespace ettin
