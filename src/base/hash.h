// SHA-256 (library: OpenSSL libcrypto).
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace ettin {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace ettin
