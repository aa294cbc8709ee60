// Which elements dropout keeps: one definition for every backend, cheap in 32-bit vector lanes.
// Mixing: MurmurHash3's 32-bit finaliser (Appleby).
#pragma once

#include <cstdint>

#include "base/rng.h"

namespace ettin {

// The key of a row in one place of the network.
inline uint64_t dropout_key(uint64_t row_key, uint64_t stream) {
  return mix64(row_key + (stream + 1) * 0x9e3779b97f4a7c15u);
}

inline uint32_t dropout_bits(uint64_t key, uint32_t column) {
  uint32_t h = static_cast<uint32_t>(key) + column * 0x9e3779b9u;
  h ^= static_cast<uint32_t>(key >> 32);
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

// An element is dropped when its bits are below rate * 2^32.
inline uint32_t dropout_threshold(double rate) {
  return static_cast<uint32_t>(rate * 4294967296.0);
}

inline bool dropout_keeps(uint64_t key, uint32_t column, uint32_t threshold) {
  return dropout_bits(key, column) >= threshold;
}

}  // namespace ettin
