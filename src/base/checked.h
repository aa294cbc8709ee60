// Arithmetic on sizes that come from a file: every product and sum is tested for overflow before
// it is used. nullopt means "does not fit into 64 bits".
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace ettin {

inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// Product of all dimensions, factor by factor; 1 for rank 0. A zero factor does not hide an
// overflow in the others.
inline std::optional<uint64_t> checked_product(std::span<const uint64_t> dims) {
  uint64_t product = 1;
  bool has_zero = false;
  for (const uint64_t d : dims) {
    if (d == 0) {
      has_zero = true;
      continue;
    }
    const auto next = checked_mul(product, d);
    if (!next) return std::nullopt;
    product = *next;
  }
  return has_zero ? 0 : product;
}

}  // namespace ettin
