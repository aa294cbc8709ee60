// zstd and gzip (libraries: libzstd, zlib). How much may come out is always said by the caller;
// what a compressed file says about its own size is never believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ettin/status.h"

namespace ettin {

enum class Compression : uint8_t { none, gzip, zstd };

// By the first bytes, whatever a file is called; at least 4 of them, unless there are fewer.
Compression detect_compression(std::span<const std::byte> beginning);

// One zstd frame that states its content's size, without a checksum. 1 <= level <= 19 (checked).
std::string zstd_compress(std::span<const std::byte> bytes, int level = 3);
std::string gzip_compress(std::span<const std::byte> bytes, int level = 6);

// All frames or members, one after the other. bad_data when they are damaged, cut off or followed
// by something else, resource_limit as soon as more than `max_bytes` come out. Memory grows with
// what comes out, not with what was declared. `where` names the source in messages.
Result<std::string> decompress(std::span<const std::byte> bytes, Compression kind,
                               uint64_t max_bytes, std::string_view where);

// The contents of a plain, gzip or zstd file in pieces. Move-only. Not thread-safe.
class InputStream {
 public:
  static Result<InputStream> open(const std::string& path);

  InputStream(InputStream&&) noexcept;
  InputStream& operator=(InputStream&&) noexcept;
  ~InputStream();

  // Up to `room.size()` bytes; 0 only at the end. Precondition: there is room.
  Result<size_t> read(std::span<char> room);

  // The next line without its line end ("\n" or "\r\n"); nothing at the end. resource_limit when it
  // is longer than `max_bytes`. Not to be mixed with read().
  Result<std::optional<std::string>> line(size_t max_bytes);
  uint64_t lines_read() const { return lines_read_; }

 private:
  struct State;
  explicit InputStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  std::string block_;
  size_t at_ = 0;
  uint64_t lines_read_ = 0;
};

}  // namespace ettin
