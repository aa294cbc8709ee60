// Random numbers as a pure function of (seed, stream, index): nothing to save, nothing to replay.
// Mixing: SplitMix64's finaliser (Steele, Lea, Flood 2014), applied to a combination of the three.
#pragma once

#include <cstdint>

namespace ettin {

inline uint64_t mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

inline uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t index) {
  return mix64(mix64(mix64(seed + 0x9e3779b97f4a7c15u) ^ stream) + index * 0x9e3779b97f4a7c15u);
}

// Uniform in [0, 1), 53 bits.
inline double random_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
  return static_cast<double>(random_bits(seed, stream, index) >> 11) * 0x1.0p-53;
}

}  // namespace ettin
