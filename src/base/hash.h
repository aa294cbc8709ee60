// SHA-256 (library: OpenSSL libcrypto), and XXH3 where damage is to be found and not an attacker
// (library: xxHash).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ettin {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> bytes);

// XXH3, 64 bits: as fast as memory delivers.
uint64_t fast_hash(std::span<const std::byte> bytes);

}  // namespace ettin
