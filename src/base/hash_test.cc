#include "base/hash.h"

#include <string_view>

#include <gtest/gtest.h>

namespace ettin {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(Hash, PublishedVectorsWholeAndInPieces) {
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(bytes_of("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Digest pieces(Digest::Kind::sha256);
  pieces.add(bytes_of("a"));
  pieces.add(bytes_of("bc"));
  EXPECT_EQ(pieces.hex(), sha256_hex(bytes_of("abc")));
  // What `git hash-object` prints for "hello\n".
  Digest git(Digest::Kind::sha1);
  git.add(bytes_of(std::string_view("blob 6\0hello\n", 13)));
  EXPECT_EQ(git.hex(), "ce013625030ba8dba906f756967f9e9ca394464a");
}

}  // namespace
}  // namespace ettin
