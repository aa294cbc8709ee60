#include "formats/mds_writer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/compress.h"
#include "base/file.h"
#include "base/hash.h"

namespace ettin {
namespace {

constexpr uint64_t kMostBytes = UINT32_MAX;  // offsets have 32 bits

void append_u32(uint64_t value, std::string* out) {
  for (int i = 0; i < 4; ++i) out->push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

MdsFile describe(std::string basename, std::string_view contents,
                 const std::vector<std::string>& hashes) {
  MdsFile file{std::move(basename), contents.size(), {}};
  for (const std::string& name : hashes) {
    file.hashes.emplace_back(name, *named_hash_hex(name, std::as_bytes(std::span(contents))));
  }
  return file;
}

}  // namespace

MdsWriter::MdsWriter(std::string folder, MdsShardInfo shape, std::vector<MdsShardInfo> finished)
    : folder_(std::move(folder)),
      shape_(std::move(shape)),
      config_(mds_config_text(shape_)),
      shards_(std::move(finished)) {}

Result<MdsWriter> MdsWriter::create(const std::string& folder, const MdsWriterOptions& options,
                                    std::vector<MdsShardInfo> finished) {
  MdsShardInfo shape;
  ETTIN_ASSIGN_OR_RETURN(shape.columns, make_mds_columns(options.columns));
  if (options.compression) {
    ETTIN_RETURN_IF_ERROR(mds_zstd_level(*options.compression).status());
  }
  shape.compression = options.compression;
  shape.hashes = options.hashes;
  std::sort(shape.hashes.begin(), shape.hashes.end());
  for (const std::string& name : shape.hashes) {
    if (!named_hash_hex(name, {})) {
      return Status(StatusCode::invalid_argument, fmt::format("hash \"{:.40}\" is not known", name),
                    "sha1, sha256, md5, xxh64 and others are");
    }
  }
  shape.size_limit = options.size_limit;
  if (shape.size_limit && (*shape.size_limit == 0 || *shape.size_limit > kMostBytes)) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{} bytes are no limit of a shard's size", *shape.size_limit),
                  "1 to 4294967295 are");
  }
  return MdsWriter(folder, std::move(shape), std::move(finished));
}

Status MdsWriter::add(std::span<const MdsValue> values) {
  ETTIN_CHECK(values.size() == shape_.columns.size());
  sample_.clear();
  content_.clear();
  for (size_t i = 0; i < values.size(); ++i) {
    const MdsColumn& column = shape_.columns[i];
    const size_t before = content_.size();
    const Status status = encode_mds(column.encoding, values[i], &content_);
    if (!status.ok()) return status.with_context(fmt::format("column \"{}\"", column.name));
    if (!column.encoding.fixed_bytes()) append_u32(content_.size() - before, &sample_);
  }
  sample_ += content_;
  // Size of the shard with the sample: the head and, per sample, its bytes and its offset.
  const uint64_t size =
      8 + config_.size() + payload_.size() + 4 * ends_.size() + sample_.size() + 4;
  if (shape_.size_limit && *shape_.size_limit < size && !ends_.empty()) {
    ETTIN_RETURN_IF_ERROR(write_shard());
  } else if (size > kMostBytes) {
    return Status(StatusCode::resource_limit,
                  fmt::format("{}: a shard would have {} bytes", folder_, size),
                  "a shard has less than 4 GiB: set a size limit");
  }
  payload_ += sample_;
  ends_.push_back(payload_.size());
  return {};
}

Status MdsWriter::write_shard() {
  std::string bytes;
  bytes.reserve(8 + 4 * ends_.size() + config_.size() + payload_.size());
  append_u32(ends_.size(), &bytes);
  const uint64_t first = 4 + 4 * (ends_.size() + 1) + config_.size();
  append_u32(first, &bytes);
  for (const uint64_t end : ends_) append_u32(first + end, &bytes);
  bytes += config_;
  bytes += payload_;

  MdsShardInfo shard = shape_;
  shard.samples = ends_.size();
  shard.raw = describe(fmt::format("shard.{:05}.mds", shards_.size()), bytes, shape_.hashes);
  if (shape_.compression) {
    bytes = zstd_compress(std::as_bytes(std::span(bytes)), *mds_zstd_level(*shape_.compression));
    shard.zip = describe(shard.raw.basename + ".zstd", bytes, shape_.hashes);
  }
  const MdsFile& file = shard.zip ? *shard.zip : shard.raw;
  ETTIN_RETURN_IF_ERROR(write_file_atomic(join_path(folder_, file.basename), bytes));
  shards_.push_back(std::move(shard));
  payload_.clear();
  ends_.clear();
  return {};
}

Status MdsWriter::finish() {
  if (!ends_.empty()) ETTIN_RETURN_IF_ERROR(write_shard());
  return write_file_atomic(join_path(folder_, "index.json"), mds_index_text(shards_));
}

}  // namespace ettin
