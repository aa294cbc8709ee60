#include "base/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <array>
#include <new>

#include <fmt/format.h>

#include "base/check.h"

namespace ettin {
namespace {

std::string to_hex(std::span<const unsigned char> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const unsigned char b : bytes) {
    hex += kDigits[b >> 4];
    hex += kDigits[b & 15];
  }
  return hex;
}

// xxHash's canonical form: the number's digits, highest first.
std::string number_hex(uint64_t value, int digits) { return fmt::format("{:0{}x}", value, digits); }

}  // namespace

struct Digest::State {
  ~State() { EVP_MD_CTX_free(context); }
  EVP_MD_CTX* context = nullptr;
};

Digest::Digest(Kind kind) : state_(std::make_unique<State>()) {
  state_->context = EVP_MD_CTX_new();
  if (state_->context == nullptr) throw std::bad_alloc();
  const EVP_MD* const algorithm = kind == Kind::sha1 ? EVP_sha1() : EVP_sha256();
  ETTIN_CHECK(EVP_DigestInit_ex(state_->context, algorithm, nullptr) == 1);
}

Digest::Digest(Digest&&) noexcept = default;
Digest::~Digest() = default;

void Digest::add(std::span<const std::byte> bytes) {
  ETTIN_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  ETTIN_CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), &length) == 1);
  return to_hex(std::span(digest).first(length));
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Digest digest(Digest::Kind::sha256);
  digest.add(bytes);
  return digest.hex();
}

std::optional<std::string> named_hash_hex(std::string_view name, std::span<const std::byte> bytes) {
  const void* data = bytes.data();
  if (name == "xxh32") return number_hex(XXH32(data, bytes.size(), 0), 8);
  if (name == "xxh64") return number_hex(XXH64(data, bytes.size(), 0), 16);
  if (name == "xxh3_64") return number_hex(XXH3_64bits(data, bytes.size()), 16);
  if (name == "xxh128") {
    const XXH128_hash_t hash = XXH3_128bits(data, bytes.size());
    return number_hex(hash.high64, 16) + number_hex(hash.low64, 16);
  }
  struct Known {
    std::string_view name;
    const EVP_MD* (*algorithm)();
  };
  static constexpr Known kKnown[] = {
      {"md5", EVP_md5},           {"sha1", EVP_sha1},          {"sha224", EVP_sha224},
      {"sha256", EVP_sha256},     {"sha384", EVP_sha384},      {"sha512", EVP_sha512},
      {"sha3_224", EVP_sha3_224}, {"sha3_256", EVP_sha3_256},  {"sha3_384", EVP_sha3_384},
      {"sha3_512", EVP_sha3_512}, {"blake2b", EVP_blake2b512}, {"blake2s", EVP_blake2s256}};
  for (const Known& known : kKnown) {
    if (known.name != name) continue;
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    if (EVP_Digest(data, bytes.size(), digest.data(), &length, known.algorithm(), nullptr) != 1) {
      return std::nullopt;  // switched off on this machine, as md5 under FIPS rules
    }
    return to_hex(std::span(digest).first(length));
  }
  return std::nullopt;
}

uint64_t fast_hash(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace ettin
