// Little-endian reads from a span that never leave it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ettin {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t position() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

  // The next `width` (1 to 8) bytes as an unsigned number; nullopt at the end, and then nothing is
  // consumed.
  std::optional<uint64_t> unsigned_le(size_t width) {
    if (width > left()) return std::nullopt;
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;) {
      value = (value << 8) | static_cast<uint64_t>(bytes_[at_ + i]);
    }
    at_ += width;
    return value;
  }

  std::optional<std::span<const std::byte>> take(uint64_t count) {
    if (count > left()) return std::nullopt;
    const auto out = bytes_.subspan(at_, static_cast<size_t>(count));
    at_ += static_cast<size_t>(count);
    return out;
  }

  std::optional<std::string_view> text(uint64_t count) {
    const auto raw = take(count);
    if (!raw) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(raw->data()), raw->size());
  }

  // Up to and without the next newline, which is consumed.
  std::optional<std::string_view> line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, left());
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    at_ += end + 1;
    return rest.substr(0, end);
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

}  // namespace ettin
