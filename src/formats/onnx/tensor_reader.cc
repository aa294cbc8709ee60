#include "formats/onnx/tensor_reader.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/checked.h"
#include "base/file.h"

namespace ettin::onnx {
namespace {

constexpr size_t kMostDims = 16;
constexpr size_t kMostDataFiles = 100;

struct TypeRow {
  Type type;
  int64_t bits;
  std::string_view name;
};
constexpr TypeRow kTypes[] = {
    {Type::f32, 32, "float32"},   {Type::u8, 8, "uint8"},     {Type::i8, 8, "int8"},
    {Type::u16, 16, "uint16"},    {Type::i16, 16, "int16"},   {Type::i32, 32, "int32"},
    {Type::i64, 64, "int64"},     {Type::boolean, 8, "bool"}, {Type::f16, 16, "float16"},
    {Type::f64, 64, "float64"},   {Type::u32, 32, "uint32"},  {Type::u64, 64, "uint64"},
    {Type::bf16, 16, "bfloat16"}, {Type::u4, 4, "uint4"},     {Type::i4, 4, "int4"},
};

const TypeRow* find_type(int64_t number) {
  for (const TypeRow& row : kTypes) {
    if (static_cast<int64_t>(row.type) == number) return &row;
  }
  return nullptr;
}

Status bad(std::string why, std::string hint = {}) {
  return Status(StatusCode::bad_data, std::move(why), std::move(hint));
}

Status unsupported(std::string why) { return Status(StatusCode::unsupported, std::move(why)); }

std::optional<uint64_t> parse_count(std::string_view text) {
  int64_t value = 0;  // beyond 2^63 nothing can lie
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return static_cast<uint64_t>(value);
}

Status read_external_entry(Bytes message, ExternalData* external) {
  std::string_view key, value;
  ETTIN_RETURN_IF_ERROR(for_each_field(message, [&](const WireField& f) -> Status {
    if (f.number == 1) key = f.text();
    if (f.number == 2) value = f.text();
    return {};
  }));
  const auto number = [&]() -> Result<uint64_t> {
    const auto parsed = parse_count(value);
    if (!parsed) return bad(fmt::format("external data: {} \"{:.40}\" is no size", key, value));
    return *parsed;
  };
  if (key == "location") external->location = value;
  if (key == "offset") {
    ETTIN_ASSIGN_OR_RETURN(external->offset, number());
  }
  if (key == "length") {
    ETTIN_ASSIGN_OR_RETURN(external->length, number());
  }
  return {};
}

}  // namespace

int64_t type_bits(Type type) { return find_type(static_cast<int64_t>(type))->bits; }
std::string_view type_name(Type type) { return find_type(static_cast<int64_t>(type))->name; }

int64_t Tensor::element_count() const {
  int64_t count = 1;
  for (const int64_t d : dims) count *= d;  // the parser has excluded an overflow
  return count;
}

Status TensorReader::read(Bytes message, Tensor* out) {
  std::optional<Bytes> raw;
  std::vector<WireField> typed;  // of one of the typed fields
  ExternalData external;
  bool is_external = false;
  int64_t type = 0;
  const Status fields = for_each_field(message, [&](const WireField& f) -> Status {
    switch (f.number) {
      case 1:
        ETTIN_RETURN_IF_ERROR(
            for_each_varint(f, [&](uint64_t v) { out->dims.push_back(static_cast<int64_t>(v)); }));
        return out->dims.size() > kMostDims ? bad("a tensor has more than 16 dimensions")
                                            : Status();
      case 2:
        type = f.integer();
        return {};
      case 4:
      case 5:
      case 7:
      case 10:
      case 11:
        if (!typed.empty() && typed[0].number != f.number) {
          return bad("a tensor holds its elements twice");
        }
        typed.push_back(f);
        return {};
      case 8:
        out->name = f.text();
        return {};
      case 9:
        ETTIN_RETURN_IF_ERROR(want_bytes(f, "raw_data"));
        raw = f.bytes;
        return {};
      case 13:
        ETTIN_RETURN_IF_ERROR(want_bytes(f, "external_data"));
        return read_external_entry(f.bytes, &external);
      case 14:
        is_external = f.value == 1;
        return {};
      default:
        return {};
    }
  });
  if (!fields.ok()) return fields;
  const Status filled = fill(type, raw, typed, is_external ? &external : nullptr, out);
  return filled.ok() ? filled : filled.with_context(fmt::format("tensor \"{:.80}\"", out->name));
}

Status TensorReader::fill(int64_t type, const std::optional<Bytes>& raw,
                          std::span<const WireField> typed, const ExternalData* external,
                          Tensor* out) {
  const TypeRow* row = find_type(type);
  if (row == nullptr) return unsupported(fmt::format("data type {} is not read", type));
  out->type = row->type;
  std::vector<uint64_t> dims;
  for (const int64_t d : out->dims) {
    if (d < 0) return bad(fmt::format("a dimension is {}", d));
    dims.push_back(static_cast<uint64_t>(d));
  }
  const auto count = checked_product(dims);
  const auto bits = count ? checked_mul(*count, static_cast<uint64_t>(row->bits)) : std::nullopt;
  if (!bits || *bits > (uint64_t{1} << 62)) {
    return bad(fmt::format("the dimensions {} overflow", fmt::join(out->dims, " x ")));
  }
  const uint64_t needed = (*bits + 7) / 8;
  if ((external != nullptr) + raw.has_value() + !typed.empty() > 1) {
    return bad("it holds its elements twice");
  }
  if (external != nullptr) {
    ETTIN_ASSIGN_OR_RETURN(out->data, external_data(*external, needed));
    return {};
  }
  if (!typed.empty()) return typed_data(typed, *count, out);
  const Bytes bytes = raw.value_or(Bytes());
  if (bytes.size() != needed) {
    return bad(fmt::format("it has {} bytes of elements, but its dimensions need {}", bytes.size(),
                           needed));
  }
  out->data = bytes;
  return {};
}

Result<Bytes> TensorReader::external_data(const ExternalData& external, uint64_t needed) {
  ETTIN_ASSIGN_OR_RETURN(const Bytes file, data_file(external.location));
  if (external.offset > file.size()) {
    return bad(fmt::format("its data begin at byte {} of {}, which has {}", external.offset,
                           external.location, file.size()));
  }
  const uint64_t left = file.size() - external.offset;
  const uint64_t length = external.length.value_or(needed);
  if (length > left || needed > left) {
    return bad(fmt::format("{} bytes from byte {} of {} are wanted, which has {}",
                           std::max(length, needed), external.offset, external.location,
                           file.size()));
  }
  if (length < needed) {
    return bad(fmt::format("{} has {} bytes for it, but its dimensions need {}", external.location,
                           length, needed));
  }
  return file.subspan(static_cast<size_t>(external.offset), static_cast<size_t>(needed));
}

Result<Bytes> TensorReader::data_file(std::string_view location) {
  const auto found = data_files_.find(location);
  if (found != data_files_.end()) return found->second;
  if (data_files_.size() == kMostDataFiles) return bad("external data in more than 100 files");
  const size_t slash = out_.path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : out_.path.substr(0, slash);
  ETTIN_ASSIGN_OR_RETURN(const std::string path, resolve_beneath(folder, location));
  ETTIN_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  auto map = std::make_shared<const MappedFile>(std::move(mapped));
  data_files_.emplace(location, map->bytes());
  out_.files.push_back(path);
  out_.owners.push_back(map);
  out_.maps.push_back(map->bytes());
  return map->bytes();
}

Status TensorReader::typed_data(std::span<const WireField> fields, uint64_t count, Tensor* out) {
  const uint32_t number = fields[0].number;
  const auto fits = [&]() {
    switch (number) {
      case 4:
        return out->type == Type::f32;
      case 5:
        return out->type != Type::f32 && out->type != Type::f64 && type_bits(out->type) <= 32 &&
               out->type != Type::u32;
      case 7:
        return out->type == Type::i64;
      case 10:
        return out->type == Type::f64;
      default:
        return out->type == Type::u32 || out->type == Type::u64;
    }
  };
  if (!fits()) return bad(fmt::format("its elements are not {}", type_name(out->type)));
  auto owned = std::make_shared<std::vector<std::byte>>();
  const int64_t bits = type_bits(out->type);
  const auto size = static_cast<size_t>(bits < 8 ? 1 : bits / 8);
  const auto put = [&](uint64_t value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    owned->insert(owned->end(), from, from + size);
  };
  for (const WireField& f : fields) {
    if (number != 4 && number != 10) {
      ETTIN_RETURN_IF_ERROR(for_each_varint(f, put));
    } else if (f.kind == WireField::Kind::bytes) {
      owned->insert(owned->end(), f.bytes.begin(), f.bytes.end());
    } else {
      put(f.value);
    }
  }
  const uint64_t needed = (count * static_cast<uint64_t>(bits) + 7) / 8;
  if (owned->size() != needed) {
    return bad(fmt::format("it has {} bytes of elements, but its dimensions need {}", owned->size(),
                           needed));
  }
  out->data = *owned;
  out_.owners.push_back(std::move(owned));
  return {};
}

}  // namespace ettin::onnx
