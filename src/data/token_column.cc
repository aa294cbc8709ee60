#include "data/token_column.h"

#include <algorithm>
#include <cstring>
#include <span>

#include <fmt/format.h>

namespace ettin {
namespace {

bool is_integer(MdsDtype dtype) {
  return dtype != MdsDtype::f16 && dtype != MdsDtype::f32 && dtype != MdsDtype::f64;
}

// Copies elements of T; the place of the first one outside [0, limit), or the number of elements.
template <class T>
size_t widen(std::span<const std::byte> bytes, int64_t limit, std::vector<int32_t>* out) {
  const size_t count = bytes.size() / sizeof(T);
  out->resize(count);
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    if (value < T{0} || static_cast<uint64_t>(value) >= static_cast<uint64_t>(limit)) return i;
    (*out)[i] = static_cast<int32_t>(value);
  }
  return count;
}

size_t widen(const MdsArray& array, int64_t limit, std::vector<int32_t>* out) {
  switch (array.dtype) {
    case MdsDtype::u8:
      return widen<uint8_t>(array.bytes, limit, out);
    case MdsDtype::i8:
      return widen<int8_t>(array.bytes, limit, out);
    case MdsDtype::u16:
      return widen<uint16_t>(array.bytes, limit, out);
    case MdsDtype::i16:
      return widen<int16_t>(array.bytes, limit, out);
    case MdsDtype::u32:
      return widen<uint32_t>(array.bytes, limit, out);
    case MdsDtype::i32:
      return widen<int32_t>(array.bytes, limit, out);
    case MdsDtype::u64:
      return widen<uint64_t>(array.bytes, limit, out);
    case MdsDtype::i64:
      return widen<int64_t>(array.bytes, limit, out);
    default:
      return 0;
  }
}

}  // namespace

Result<size_t> find_token_column(const MdsShardInfo& info, std::string_view where) {
  const auto column = info.find_column("input_ids");
  if (column) {
    const MdsEncoding& encoding = info.columns[*column].encoding;
    if (encoding.kind == MdsEncoding::Kind::ndarray &&
        (!encoding.dtype || is_integer(*encoding.dtype))) {
      return *column;
    }
  }
  return Status(
      StatusCode::bad_data,
      fmt::format("{}: {} has no column \"input_ids\" of integers", where, info.raw.basename),
      "ettin data build makes such shards from texts");
}

Result<std::vector<int32_t>> read_token_ids(const MdsShard& shard, const MdsShardInfo& info,
                                            size_t column, uint64_t sample, int64_t vocab_size) {
  const auto bad = [&](std::string why) {
    return Status(StatusCode::bad_data, fmt::format("{} sample {}: {}", shard.path(), sample, why));
  };
  ETTIN_ASSIGN_OR_RETURN(const auto stored, shard.column(sample, column, info.columns));
  const Result<MdsArray> array = decode_mds_array(info.columns[column].encoding, stored);
  if (!array.ok()) return bad(array.status().message());
  if (array->shape.size() != 1 || !is_integer(array->dtype)) {
    return bad(fmt::format("its ids are {} in {} dimensions", mds_dtype_name(array->dtype),
                           array->shape.size()));
  }
  std::vector<int32_t> ids;
  const int64_t limit = std::min<int64_t>(vocab_size, int64_t{INT32_MAX} + 1);
  if (const size_t at = widen(*array, limit, &ids); at < array->elements()) {
    return Status(StatusCode::bad_data,
                  fmt::format("{} sample {}: the id at place {} is not below the vocabulary's "
                              "size {}",
                              shard.path(), sample, at, vocab_size),
                  "the data was made with another tokenizer, or is damaged");
  }
  return ids;
}

std::string read_sample_id(const MdsShard& shard, const MdsShardInfo& info, uint64_t sample) {
  const auto column = info.find_column("id");
  if (!column || info.columns[*column].encoding.kind != MdsEncoding::Kind::str) return {};
  const auto stored = shard.column(sample, *column, info.columns);
  if (!stored.ok()) return {};
  return {reinterpret_cast<const char*>(stored->data()), stored->size()};
}

}  // namespace ettin
