#include "formats/mds_encoding.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/half.h"
#include "base/utf8.h"
#include "formats/byte_reader.h"

namespace ettin {
namespace {

using Kind = MdsEncoding::Kind;

struct DtypeName {
  MdsDtype dtype;
  std::string_view name;
  size_t bytes;
};
constexpr std::array<DtypeName, 11> kDtypes{{{MdsDtype::u8, "uint8", 1},
                                             {MdsDtype::i8, "int8", 1},
                                             {MdsDtype::u16, "uint16", 2},
                                             {MdsDtype::i16, "int16", 2},
                                             {MdsDtype::f16, "float16", 2},
                                             {MdsDtype::u32, "uint32", 4},
                                             {MdsDtype::i32, "int32", 4},
                                             {MdsDtype::f32, "float32", 4},
                                             {MdsDtype::u64, "uint64", 8},
                                             {MdsDtype::i64, "int64", 8},
                                             {MdsDtype::f64, "float64", 8}}};
constexpr size_t kMaxRank = 63;  // the rank shares a byte with the width of the dimensions

const DtypeName* find_dtype(std::string_view name) {
  for (const DtypeName& d : kDtypes) {
    if (d.name == name) return &d;
  }
  return nullptr;
}

const DtypeName* find_dtype(uint64_t code) {
  for (const DtypeName& d : kDtypes) {
    if (static_cast<uint64_t>(d.dtype) == code) return &d;
  }
  return nullptr;
}

bool is_floating(MdsDtype d) {
  return d == MdsDtype::f16 || d == MdsDtype::f32 || d == MdsDtype::f64;
}
bool is_signed(MdsDtype d) {
  return d == MdsDtype::i8 || d == MdsDtype::i16 || d == MdsDtype::i32 || d == MdsDtype::i64;
}

Status bad(std::string message) { return Status(StatusCode::bad_data, std::move(message)); }
Status refuse(std::string message) {
  return Status(StatusCode::invalid_argument, std::move(message));
}

void append_le(uint64_t value, size_t bytes, std::string* out) {
  for (size_t i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_integer_text(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return is_digits(text);
}

std::optional<double> parse_float(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What Python's Decimal takes: digits, a point, an exponent, or Infinity and NaN.
bool is_decimal_text(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text == "Infinity" || text == "NaN") return true;
  if (const size_t e = text.find_first_of("eE"); e != text.npos) {
    std::string_view exponent = text.substr(e + 1);
    if (exponent.starts_with('-') || exponent.starts_with('+')) exponent.remove_prefix(1);
    if (!is_digits(exponent)) return false;
    text = text.substr(0, e);
  }
  const size_t point = text.find('.');
  if (point == text.npos) return is_digits(text);
  const std::string_view whole = text.substr(0, point), rest = text.substr(point + 1);
  return (whole.empty() || is_digits(whole)) && (rest.empty() || is_digits(rest)) &&
         !(whole.empty() && rest.empty());
}

// repr() of a Python float: the shortest text that reads back as the same number.
std::string python_float(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_not_of("-0123456789") == text.npos) text += ".0";
  return text;
}

Result<std::vector<uint64_t>> parse_shape(std::string_view text) {
  std::vector<uint64_t> shape;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, comma);
    uint64_t dim = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), dim);
    if (error != std::errc() || end != word.data() + word.size() || dim == 0) {
      return bad(fmt::format("\"{:.40}\" is no dimension", word));
    }
    shape.push_back(dim);
    if (comma + 1 == text.size()) return bad("a dimension is missing behind the last comma");
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  if (shape.empty() || shape.size() > kMaxRank) {
    return bad(fmt::format("{} dimensions; 1 to {} are possible", shape.size(), kMaxRank));
  }
  return shape;
}

Status encode_scalar(MdsDtype dtype, const MdsValue& value, std::string* out) {
  const size_t bytes = mds_dtype_bytes(dtype);
  if (is_floating(dtype)) {
    const double* number = std::get_if<double>(&value);
    if (number == nullptr) return refuse("a floating-point number is needed");
    if (dtype == MdsDtype::f64) append_le(std::bit_cast<uint64_t>(*number), 8, out);
    const float narrow = static_cast<float>(*number);
    if (dtype == MdsDtype::f32) append_le(std::bit_cast<uint32_t>(narrow), 4, out);
    if (dtype == MdsDtype::f16) append_le(float_to_fp16(narrow), 2, out);
    return {};
  }
  const unsigned bits = static_cast<unsigned>(8 * bytes);
  if (is_signed(dtype)) {
    const int64_t* number = std::get_if<int64_t>(&value);
    const int64_t most = std::numeric_limits<int64_t>::max() >> (64 - bits);
    if (number == nullptr || *number > most || *number < -most - 1) {
      return refuse(fmt::format("an integer of {} bits is needed", bits));
    }
    append_le(static_cast<uint64_t>(*number), bytes, out);
    return {};
  }
  const uint64_t* number = std::get_if<uint64_t>(&value);
  if (number == nullptr || *number > ~uint64_t{0} >> (64 - bits)) {
    return refuse(fmt::format("an unsigned integer of {} bits is needed", bits));
  }
  append_le(*number, bytes, out);
  return {};
}

MdsValue decode_scalar(MdsDtype dtype, std::span<const std::byte> raw) {
  const size_t bytes = mds_dtype_bytes(dtype);
  const uint64_t bits = *ByteReader(raw).unsigned_le(bytes);
  switch (dtype) {
    case MdsDtype::f16:
      return static_cast<double>(fp16_to_float(static_cast<uint16_t>(bits)));
    case MdsDtype::f32:
      return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bits)));
    case MdsDtype::f64:
      return std::bit_cast<double>(bits);
    default:
      break;
  }
  if (!is_signed(dtype)) return bits;
  const unsigned unused = static_cast<unsigned>(64 - 8 * bytes);
  return static_cast<int64_t>(bits << unused) >> unused;
}

Status encode_array(const MdsEncoding& encoding, const MdsArray& array, std::string* out) {
  const auto elements = checked_product(array.shape);
  const auto bytes = elements ? checked_mul(*elements, mds_dtype_bytes(array.dtype)) : std::nullopt;
  if (array.shape.empty() || array.shape.size() > kMaxRank || bytes != array.bytes.size() ||
      array.bytes.empty()) {
    return refuse(
        "an array needs 1 to 63 dimensions, none of them 0, and as many bytes as they say");
  }
  if (encoding.dtype && *encoding.dtype != array.dtype) {
    return refuse(fmt::format("an array of {} is needed, not of {}",
                              mds_dtype_name(*encoding.dtype), mds_dtype_name(array.dtype)));
  }
  if (!encoding.dtype) out->push_back(static_cast<char>(array.dtype));
  if (!encoding.shape.empty()) {
    if (encoding.shape != array.shape) return refuse("the array has another shape than its column");
  } else {
    const uint64_t largest = *std::max_element(array.shape.begin(), array.shape.end());
    unsigned width = 0;  // log2 of the bytes of a dimension
    while (width < 3 && largest >> (8u << width) != 0) ++width;
    out->push_back(static_cast<char>(array.shape.size() << 2 | width));
    for (const uint64_t dim : array.shape) append_le(dim, size_t{1} << width, out);
  }
  out->append(text_of(array.bytes));
  return {};
}

}  // namespace

size_t mds_dtype_bytes(MdsDtype dtype) { return find_dtype(static_cast<uint64_t>(dtype))->bytes; }
std::string_view mds_dtype_name(MdsDtype dtype) {
  return find_dtype(static_cast<uint64_t>(dtype))->name;
}

std::optional<uint64_t> MdsEncoding::fixed_bytes() const {
  if (kind == Kind::integer) return 8;
  if (kind == Kind::scalar) return mds_dtype_bytes(*dtype);
  if (kind == Kind::ndarray && dtype && !shape.empty()) {
    return checked_mul(*checked_product(shape), mds_dtype_bytes(*dtype));
  }
  return std::nullopt;
}

Result<MdsEncoding> parse_mds_encoding(std::string_view text) {
  static constexpr std::pair<std::string_view, Kind> kNames[] = {{"str", Kind::str},
                                                                 {"bytes", Kind::bytes},
                                                                 {"int", Kind::integer},
                                                                 {"str_int", Kind::str_int},
                                                                 {"str_float", Kind::str_float},
                                                                 {"str_decimal", Kind::str_decimal},
                                                                 {"json", Kind::json},
                                                                 {"ndarray", Kind::ndarray}};
  for (const auto& [name, kind] : kNames) {
    if (text == name) return MdsEncoding{kind, {}, {}};
  }
  if (const DtypeName* dtype = find_dtype(text)) return MdsEncoding{Kind::scalar, dtype->dtype, {}};
  if (text == "pkl") {
    return Status(StatusCode::unsupported, "encoding \"pkl\" is refused: reading it would run code",
                  "write the column as json, str or ndarray");
  }
  constexpr std::string_view kArray = "ndarray:";
  if (!text.starts_with(kArray)) {
    return Status(StatusCode::unsupported, fmt::format("encoding \"{:.60}\" is not known", text));
  }
  MdsEncoding encoding{Kind::ndarray, {}, {}};
  text.remove_prefix(kArray.size());
  const size_t colon = text.find(':');
  const DtypeName* dtype = find_dtype(text.substr(0, colon));
  if (dtype == nullptr) return bad(fmt::format("\"{:.40}\" is no type of arrays", text));
  encoding.dtype = dtype->dtype;
  if (colon == text.npos) return encoding;
  ETTIN_ASSIGN_OR_RETURN(encoding.shape, parse_shape(text.substr(colon + 1)));
  const auto elements = checked_product(encoding.shape);
  if (!elements || !checked_mul(*elements, dtype->bytes)) {
    return bad(fmt::format("the shape in \"ndarray:{:.60}\" overflows", text));
  }
  return encoding;
}

Status encode_mds(const MdsEncoding& encoding, const MdsValue& value, std::string* out) {
  const std::string* text = std::get_if<std::string>(&value);
  switch (encoding.kind) {
    case Kind::str:
      if (text == nullptr || !is_valid_utf8(*text)) return refuse("a UTF-8 text is needed");
      *out += *text;
      return {};
    case Kind::bytes:
      if (text == nullptr) return refuse("bytes are needed");
      *out += *text;
      return {};
    case Kind::str_int:
    case Kind::str_decimal:
      if (text == nullptr ||
          !(encoding.kind == Kind::str_int ? is_integer_text(*text) : is_decimal_text(*text))) {
        return refuse("the digits of a number are needed");
      }
      *out += *text;
      return {};
    case Kind::str_float:
      if (!std::holds_alternative<double>(value)) return refuse("a number is needed");
      *out += python_float(std::get<double>(value));
      return {};
    case Kind::json:
      if (!std::holds_alternative<Json>(value)) return refuse("a JSON value is needed");
      *out += python_json(std::get<Json>(value));
      return {};
    case Kind::integer:
      return encode_scalar(MdsDtype::i64, value, out);
    case Kind::scalar:
      return encode_scalar(*encoding.dtype, value, out);
    case Kind::ndarray:
      if (!std::holds_alternative<MdsArray>(value)) return refuse("an array is needed");
      return encode_array(encoding, std::get<MdsArray>(value), out);
  }
  return {};
}

Result<MdsArray> decode_mds_array(const MdsEncoding& encoding, std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  MdsArray array;
  if (encoding.dtype) {
    array.dtype = *encoding.dtype;
  } else {
    const auto code = reader.unsigned_le(1);
    if (!code) return bad("an array ends before its type");
    const DtypeName* dtype = find_dtype(*code);
    if (dtype == nullptr) return bad(fmt::format("{} is no code of an array's type", *code));
    array.dtype = dtype->dtype;
  }
  array.shape = encoding.shape;
  if (array.shape.empty()) {
    const auto head = reader.unsigned_le(1);
    if (!head) return bad("an array ends before its shape");
    const size_t rank = static_cast<size_t>(*head >> 2);  // below 64: it has 6 bits
    if (rank == 0) return bad("an array has no dimensions");
    for (size_t i = 0; i < rank; ++i) {
      const auto dim = reader.unsigned_le(size_t{1} << (*head & 3));
      if (!dim) return bad(fmt::format("an array ends inside its {} dimensions", rank));
      array.shape.push_back(*dim);
    }
  }
  array.bytes = *reader.take(reader.left());
  const auto elements = checked_product(array.shape);
  const auto size = elements ? checked_mul(*elements, mds_dtype_bytes(array.dtype)) : std::nullopt;
  if (!size || *size != array.bytes.size() || *size == 0) {
    return bad(fmt::format("an array of {}[{}] has {} bytes", mds_dtype_name(array.dtype),
                           fmt::join(array.shape, ", "), array.bytes.size()));
  }
  return array;
}

Result<MdsValue> decode_mds(const MdsEncoding& encoding, std::span<const std::byte> bytes) {
  const std::string_view text = text_of(bytes);
  if (const auto fixed = encoding.fixed_bytes(); fixed && *fixed != bytes.size()) {
    return bad(fmt::format("{} bytes where {} are needed", bytes.size(), *fixed));
  }
  switch (encoding.kind) {
    case Kind::str:
      if (!is_valid_utf8(text)) return bad("a text is not valid UTF-8");
      return MdsValue(std::string(text));
    case Kind::bytes:
      return MdsValue(std::string(text));
    case Kind::str_int:
      if (!is_integer_text(text)) return bad(fmt::format("\"{:.40}\" is no integer", text));
      return MdsValue(std::string(text));
    case Kind::str_decimal:
      if (!is_decimal_text(text)) return bad(fmt::format("\"{:.40}\" is no number", text));
      return MdsValue(std::string(text));
    case Kind::str_float: {
      const auto number = parse_float(text);
      if (!number) return bad(fmt::format("\"{:.40}\" is no number", text));
      return MdsValue(*number);
    }
    case Kind::json: {
      ETTIN_ASSIGN_OR_RETURN(Json value, parse_json(text, "a json column", {.big_integers = true}));
      return MdsValue(std::move(value));
    }
    case Kind::integer:
      return decode_scalar(MdsDtype::i64, bytes);
    case Kind::scalar:
      return decode_scalar(*encoding.dtype, bytes);
    case Kind::ndarray: {
      ETTIN_ASSIGN_OR_RETURN(MdsArray array, decode_mds_array(encoding, bytes));
      return MdsValue(std::move(array));
    }
  }
  return Status(StatusCode::internal, "an encoding without a decoder");
}

std::string python_json(const Json& value) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return python_float(number);
  }
  if (!value.is_structured()) {
    return value.dump(-1, ' ', true, Json::error_handler_t::replace);
  }
  const bool object = value.is_object();
  std::string out(1, object ? '{' : '[');
  for (const auto& item : value.items()) {
    if (out.size() > 1) out += ", ";
    if (object) out += python_json(Json(item.key())) + ": ";
    out += python_json(item.value());
  }
  out += object ? '}' : ']';
  return out;
}

}  // namespace ettin
