// The wire format of protocol buffers, read in place: fields of one message, one after another.
// (Protocol Buffers Encoding; ONNX files are serialised so.) Weights stay where they are, which the
// usual library cannot promise, and nothing is allocated from a size that the input states.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ettin/status.h"

namespace ettin::onnx {

using Bytes = std::span<const std::byte>;

struct WireField {
  enum class Kind : uint8_t { varint, fixed64, bytes, fixed32 } kind = Kind::varint;
  uint32_t number = 0;
  uint64_t value = 0;  // of varint, fixed64 and fixed32
  Bytes bytes;         // of bytes: a string, a message or packed numbers

  int64_t integer() const { return static_cast<int64_t>(value); }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

class WireReader {
 public:
  explicit WireReader(Bytes message) : message_(message) {}

  bool at_end() const { return at_ == message_.size(); }
  // The next field. Precondition: not at_end(). Errors: the message ends inside the field, a varint
  // of more than 10 bytes, field number 0, group or unknown wire types.
  Result<WireField> next();
  // The next of a run of packed varints.
  Result<uint64_t> varint();

 private:
  Bytes message_;
  size_t at_ = 0;
};

// Calls fn(field) for every field of a message; the first error ends the walk.
template <class Fn>
Status for_each_field(Bytes message, Fn fn) {
  WireReader reader(message);
  while (!reader.at_end()) {
    ETTIN_ASSIGN_OR_RETURN(const WireField field, reader.next());
    ETTIN_RETURN_IF_ERROR(fn(field));
  }
  return {};
}

// A field that should hold bytes: a string, a message.
inline Status want_bytes(const WireField& field, std::string_view what) {
  if (field.kind == WireField::Kind::bytes) return {};
  return Status(StatusCode::bad_data, std::string(what) + " should be a string or a message");
}

// Calls fn(value) for the one value of a scalar field, or for each of a packed one.
template <class Fn>
Status for_each_varint(const WireField& field, Fn fn) {
  if (field.kind != WireField::Kind::bytes) {
    fn(field.value);
    return {};
  }
  WireReader packed(field.bytes);
  while (!packed.at_end()) {
    ETTIN_ASSIGN_OR_RETURN(const uint64_t value, packed.varint());
    fn(value);
  }
  return {};
}

}  // namespace ettin::onnx
