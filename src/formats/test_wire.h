// Messages in the wire format of protocol buffers, for tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ettin::test {

// Serialises fields of a message.
class WireWriter {
 public:
  void varint(uint32_t number, uint64_t value) {
    raw((uint64_t{number} << 3));
    raw(value);
  }
  void fixed32(uint32_t number, uint32_t value) {
    raw((uint64_t{number} << 3) | 5);
    out_.append(reinterpret_cast<const char*>(&value), 4);
  }
  void bytes(uint32_t number, std::string_view value) {
    raw((uint64_t{number} << 3) | 2);
    raw(value.size());
    out_.append(value);
  }
  const std::string& text() const { return out_; }

 private:
  void raw(uint64_t v) {
    while (v >= 0x80) {
      out_.push_back(static_cast<char>(v | 0x80));
      v >>= 7;
    }
    out_.push_back(static_cast<char>(v));
  }
  std::string out_;
};

}  // namespace ettin::test
