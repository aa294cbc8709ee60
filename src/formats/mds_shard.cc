#include "formats/mds_shard.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/compress.h"
#include "base/hash.h"
#include "formats/byte_reader.h"

namespace ettin {
namespace {

// `basename` was checked when the index was read; here links may still lead elsewhere.
Result<std::string> path_beneath(std::string folder, std::string_view basename) {
  for (;;) {
    const size_t slash = basename.find('/');
    ETTIN_ASSIGN_OR_RETURN(folder, resolve_beneath(folder, basename.substr(0, slash)));
    if (slash == basename.npos) return folder;
    basename.remove_prefix(slash + 1);
  }
}

Status check_file(const MdsFile& file, std::span<const std::byte> bytes, const std::string& path,
                  bool check_hashes) {
  if (bytes.size() != file.bytes) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: {} bytes; index.json says {}", path, bytes.size(), file.bytes),
                  "the file was cut off or changed; fetch or make it again");
  }
  if (!check_hashes) return {};
  for (const auto& [name, digits] : file.hashes) {
    const auto actual = named_hash_hex(name, bytes);
    if (!actual) {
      return Status(StatusCode::unsupported,
                    fmt::format("{}: hash \"{:.40}\" is not known", path, name));
    }
    if (*actual != digits) {
      return Status(
          StatusCode::bad_data,
          fmt::format("{}: its {} is {}; index.json says {:.130}", path, name, *actual, digits),
          "the file is damaged; fetch or make it again");
    }
  }
  return {};
}

}  // namespace

Result<MdsShard> MdsShard::open(const std::string& folder, const MdsShardInfo& info,
                                bool check_hashes) {
  MdsShard shard;
  Result<std::string> raw_path = path_beneath(folder, info.raw.basename);
  if (raw_path.ok() && file_exists(*raw_path)) {
    shard.path_ = *raw_path;
    ETTIN_ASSIGN_OR_RETURN(shard.file_, MappedFile::open(shard.path_));
    ETTIN_RETURN_IF_ERROR(check_file(info.raw, shard.file_.bytes(), shard.path_, check_hashes));
  } else if (info.zip) {
    ETTIN_ASSIGN_OR_RETURN(shard.path_, path_beneath(folder, info.zip->basename));
    ETTIN_ASSIGN_OR_RETURN(const MappedFile packed, MappedFile::open(shard.path_));
    ETTIN_RETURN_IF_ERROR(check_file(*info.zip, packed.bytes(), shard.path_, check_hashes));
    ETTIN_ASSIGN_OR_RETURN(
        shard.memory_, decompress(packed.bytes(), Compression::zstd, info.raw.bytes, shard.path_));
    shard.compressed_ = true;
    ETTIN_RETURN_IF_ERROR(check_file(info.raw, shard.bytes(),
                                     fmt::format("{}, decompressed", shard.path_), check_hashes));
  } else if (!raw_path.ok()) {
    return raw_path.status();
  } else {
    return Status(StatusCode::not_found, fmt::format("{}: there is no such file", *raw_path),
                  "index.json names it; fetch or make the data set again");
  }
  shard.samples_ = info.samples;
  ETTIN_RETURN_IF_ERROR(shard.check_table(info));
  return shard;
}

std::span<const std::byte> MdsShard::bytes() const {
  return compressed_ ? std::as_bytes(std::span(memory_)) : file_.bytes();
}

uint64_t MdsShard::offset(uint64_t index) const {
  return *ByteReader(bytes().subspan(static_cast<size_t>(4 + 4 * index))).unsigned_le(4);
}

Status MdsShard::check_table(const MdsShardInfo& info) const {
  const auto bad = [&](std::string why) {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", path_, why));
  };
  const uint64_t size = bytes().size();
  const auto count = ByteReader(bytes()).unsigned_le(4);
  if (!count) return bad(fmt::format("{} bytes are no shard", size));
  if (*count == 0) return bad("a shard of no samples");
  if (*count != info.samples) {
    return bad(fmt::format("{} samples; index.json says {}", *count, info.samples));
  }
  const uint64_t table_end = 4 + 4 * (*count + 1);
  if (table_end > size) {
    return bad(fmt::format("the offsets of {} samples do not fit into {} bytes", *count, size));
  }
  uint64_t previous = table_end;
  for (uint64_t i = 0; i <= *count; ++i) {
    const uint64_t at = offset(i);
    if (at < previous) {
      return bad(fmt::format("offset {} of sample {} lies before {}", at, i, previous));
    }
    if (at > size) {
      return bad(fmt::format("offset {} of sample {} lies behind the file's end", at, i));
    }
    previous = at;
  }
  if (previous != size) {
    return bad(fmt::format("{} bytes follow the last sample", size - previous));
  }
  return {};
}

std::string_view MdsShard::config_text() const {
  const size_t begin = static_cast<size_t>(4 + 4 * (samples_ + 1));
  const auto config = bytes().subspan(begin, static_cast<size_t>(offset(0)) - begin);
  return {reinterpret_cast<const char*>(config.data()), config.size()};
}

Result<std::span<const std::byte>> MdsShard::column(uint64_t index, size_t column,
                                                    std::span<const MdsColumn> columns) const {
  ETTIN_CHECK(index < samples_ && column < columns.size());
  const uint64_t begin = offset(index), end = offset(index + 1);
  ByteReader reader(bytes().subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  const auto bad = [&](std::string_view why) {
    return Status(StatusCode::bad_data, fmt::format("{} sample {}: {}", path_, index, why));
  };
  // Sizes of the columns without a fixed one, then all contents.
  uint64_t before = 0, own = 0, total = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    std::optional<uint64_t> size = columns[i].encoding.fixed_bytes();
    if (!size) size = reader.unsigned_le(4);
    if (!size) return bad("it ends among the sizes of its columns");
    if (*size > end - begin) return bad("a column is larger than the sample");
    if (i < column) before += *size;
    if (i == column) own = *size;
    total += *size;  // at most columns x 2^32: fits
  }
  if (total != reader.left()) {
    return bad(fmt::format("its columns have {} bytes, the sample {}", total, reader.left()));
  }
  (void)reader.take(before);
  return *reader.take(own);
}

Result<std::vector<MdsValue>> MdsShard::sample(uint64_t index,
                                               std::span<const MdsColumn> columns) const {
  std::vector<MdsValue> values;
  for (size_t i = 0; i < columns.size(); ++i) {
    ETTIN_ASSIGN_OR_RETURN(const auto stored, column(index, i, columns));
    Result<MdsValue> value = decode_mds(columns[i].encoding, stored);
    if (!value.ok()) {
      return value.status().with_context(
          fmt::format("{} sample {} column \"{}\"", path_, index, columns[i].name));
    }
    values.push_back(*std::move(value));
  }
  return values;
}

}  // namespace ettin
