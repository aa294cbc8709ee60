// SHA-256 and SHA-1 (library: OpenSSL libcrypto), and XXH3 where damage is to be found and not an
// attacker (library: xxHash).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

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

// XXH3, 64 bits: as fast as memory delivers.
uint64_t fast_hash(std::span<const std::byte> bytes);

}  // namespace ettin
