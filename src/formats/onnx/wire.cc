#include "formats/onnx/wire.h"

#include <cstring>

#include <fmt/format.h>

namespace ettin::onnx {
namespace {

constexpr size_t kLongestVarint = 10;

Status bad(std::string why) { return Status(StatusCode::bad_data, std::move(why)); }

}  // namespace

Result<uint64_t> WireReader::varint() {
  uint64_t value = 0;
  for (size_t i = 0; i < kLongestVarint; ++i) {
    if (at_ == message_.size()) return bad("the file ends inside a number");
    const auto byte = static_cast<uint64_t>(message_[at_++]);
    if (i + 1 == kLongestVarint && byte > 1) break;
    value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) return value;
  }
  return bad("a number is longer than 64 bits");
}

Result<WireField> WireReader::next() {
  ETTIN_ASSIGN_OR_RETURN(const uint64_t tag, varint());
  WireField field;
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
    return bad(fmt::format("field number {} is not allowed", tag >> 3));
  }
  field.number = static_cast<uint32_t>(tag >> 3);
  const auto fixed = [&](size_t size, WireField::Kind kind) -> Result<WireField> {
    if (message_.size() - at_ < size) return bad("the file ends inside a number");
    std::memcpy(&field.value, message_.data() + at_, size);  // little-endian, as the machine
    at_ += size;
    field.kind = kind;
    return field;
  };
  switch (tag & 7) {
    case 0: {
      ETTIN_ASSIGN_OR_RETURN(field.value, varint());
      field.kind = WireField::Kind::varint;
      return field;
    }
    case 1:
      return fixed(8, WireField::Kind::fixed64);
    case 2: {
      ETTIN_ASSIGN_OR_RETURN(const uint64_t size, varint());
      if (size > message_.size() - at_) {
        return bad(fmt::format("field {} says that it has {} bytes, but {} are left", field.number,
                               size, message_.size() - at_));
      }
      field.kind = WireField::Kind::bytes;
      field.bytes = message_.subspan(at_, static_cast<size_t>(size));
      at_ += static_cast<size_t>(size);
      return field;
    }
    case 5:
      return fixed(4, WireField::Kind::fixed32);
    default:
      return bad(
          fmt::format("field {} has wire type {}, which ONNX does not use", field.number, tag & 7));
  }
}

}  // namespace ettin::onnx
