// How a column of a MosaicML streaming shard (MDS, version 2) stores a value: training.md 2.3,
// after mosaicml/streaming's format/mds/encodings.py. All numbers are little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "ettin/status.h"

namespace ettin {

// Element types by the code that a dynamic array stores.
enum class MdsDtype : uint8_t {
  u8 = 8,
  i8 = 9,
  u16 = 16,
  i16 = 17,
  f16 = 18,
  u32 = 32,
  i32 = 33,
  f32 = 34,
  u64 = 64,
  i64 = 65,
  f64 = 66,
};

size_t mds_dtype_bytes(MdsDtype dtype);
std::string_view mds_dtype_name(MdsDtype dtype);  // NumPy's: "uint32"

struct MdsArray {
  MdsDtype dtype = MdsDtype::u32;
  std::vector<uint64_t> shape;
  std::span<const std::byte> bytes;  // a view; not aligned

  uint64_t elements() const { return bytes.size() / mds_dtype_bytes(dtype); }
};

// str, bytes, str_int and str_decimal: text; int and signed scalars: int64_t; unsigned ones:
// uint64_t; floating ones and str_float: double.
using MdsValue = std::variant<std::string, int64_t, uint64_t, double, Json, MdsArray>;

struct MdsEncoding {
  enum class Kind : uint8_t {
    str,
    bytes,
    integer,  // "int": 64 bits
    scalar,
    str_int,
    str_float,
    str_decimal,
    json,
    ndarray,
  };

  Kind kind = Kind::bytes;
  std::optional<MdsDtype> dtype;  // of scalars, and of arrays that state it
  std::vector<uint64_t> shape;    // of arrays that state it

  // Bytes of every value; nothing when they differ.
  std::optional<uint64_t> fixed_bytes() const;
};

// "ndarray:uint16:2,3". unsupported for "pkl", which would run code, and for what we do not know.
Result<MdsEncoding> parse_mds_encoding(std::string_view text);

// Appends the stored form. invalid_argument when the value does not fit the encoding.
Status encode_mds(const MdsEncoding& encoding, const MdsValue& value, std::string* out);

// bad_data when `bytes` are no value of the encoding. An array is a view of `bytes`.
Result<MdsValue> decode_mds(const MdsEncoding& encoding, std::span<const std::byte> bytes);
// The same for arrays alone, without a variant. Precondition: kind is ndarray.
Result<MdsArray> decode_mds_array(const MdsEncoding& encoding, std::span<const std::byte> bytes);

// JSON as Python's json.dumps writes it: ", " and ": ", escapes beyond ASCII, its spelling of
// floats.
std::string python_json(const Json& value);

}  // namespace ettin
