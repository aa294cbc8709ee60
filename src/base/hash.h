// SHA-256 and SHA-1 (library: OpenSSL libcrypto), and XXH3 where damage is to be found and not an
// attacker (library: xxHash).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ettin {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> bytes);

// A digest of bytes that arrive in pieces. SHA-1 is for names that Git made, not for trust.
class Digest {
 public:
  enum class Kind : uint8_t { sha1, sha256 };

  explicit Digest(Kind kind);
  Digest(Digest&&) noexcept;
  ~Digest();

  void add(std::span<const std::byte> bytes);
  // Lower-case hexadecimal digits, 40 or 64 of them; nothing can be added afterwards.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The digest of that name in hexadecimal digits, as Python's hashlib and xxhash write it: md5,
// sha1, sha224, ..., sha3_512, blake2b, blake2s; xxh32, xxh64, xxh128, xxh3_64. Nothing for other
// names.
std::optional<std::string> named_hash_hex(std::string_view name, std::span<const std::byte> bytes);

// XXH3, 64 bits: as fast as memory delivers.
uint64_t fast_hash(std::span<const std::byte> bytes);

}  // namespace ettin
