#include "formats/packed_file.h"

#include <array>
#include <atomic>
#include <cstring>
#include <span>

#include <fmt/format.h>

#include "base/file.h"
#include "base/hash.h"

namespace ettin {
namespace {

constexpr std::string_view kMagic = "ettinpk1";
constexpr uint64_t kHeader = 32, kAlignment = 4096;
constexpr uint64_t kMostBlobs = 100'000;

struct Entry {
  uint64_t offset, size, hash;
};
static_assert(sizeof(Entry) == 24);

struct Header {
  std::array<char, 8> magic;
  uint64_t identity, count, table_hash;
};
static_assert(sizeof(Header) == kHeader);

Status damaged(const std::string& path, std::string_view what) {
  return Status(
      StatusCode::bad_data, fmt::format("{}: {}", path, what),
      "it is a cache: delete it, or load with the cache switched on to have it made anew");
}

uint64_t aligned(uint64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

Result<PackedFile> PackedFile::open(const std::string& path, uint64_t identity,
                                    ThreadPool& threads) {
  if (!file_exists(path)) return Status(StatusCode::not_found, path + ": no such file");
  ETTIN_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  const auto map = std::make_shared<const MappedFile>(std::move(mapped));
  const std::span<const std::byte> bytes = map->bytes();
  Header header;
  if (bytes.size() < kHeader) return damaged(path, "shorter than its header");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::string_view(header.magic.data(), header.magic.size()) != kMagic) {
    return damaged(path, "not a file of packed weights");
  }
  if (header.identity != identity) {
    return Status(StatusCode::not_found, path + ": made from other weights or for another machine");
  }
  if (header.count > kMostBlobs || header.count * sizeof(Entry) > bytes.size() - kHeader) {
    return damaged(path, "its table does not fit into it");
  }
  const auto table = bytes.subspan(kHeader, header.count * sizeof(Entry));
  if (fast_hash(table) != header.table_hash) return damaged(path, "its table is damaged");
  std::vector<Entry> entries(header.count);
  std::memcpy(entries.data(), table.data(), table.size());
  for (const Entry& e : entries) {
    if (e.offset % kAlignment != 0 || e.offset > bytes.size() || e.size > bytes.size() - e.offset) {
      return damaged(path, "a blob lies outside of it");
    }
  }
  std::atomic<bool> same = true;
  threads.parallel_for(static_cast<int64_t>(entries.size()), [&](int64_t i, int) {
    const Entry& e = entries[static_cast<size_t>(i)];
    if (fast_hash(bytes.subspan(e.offset, e.size)) != e.hash) same = false;
  });
  if (!same) return damaged(path, "its contents are damaged");
  PackedFile file;
  for (const Entry& e : entries) {
    file.blobs_.push_back(
        std::make_shared<const Buffer>(Buffer::borrow(map, bytes.subspan(e.offset, e.size))));
  }
  return file;
}

Status PackedFile::write(const std::string& path, uint64_t identity,
                         const std::vector<std::shared_ptr<const Buffer>>& blobs,
                         ThreadPool& threads) {
  std::vector<Entry> entries(blobs.size());
  uint64_t at = aligned(kHeader + blobs.size() * sizeof(Entry));
  for (size_t i = 0; i < blobs.size(); ++i) {
    entries[i] = {at, blobs[i]->size(), 0};
    at = aligned(at + blobs[i]->size());
  }
  const auto contents = [&](size_t i) {
    return std::span<const std::byte>(blobs[i]->data(), blobs[i]->size());
  };
  threads.parallel_for(static_cast<int64_t>(blobs.size()), [&](int64_t i, int) {
    entries[static_cast<size_t>(i)].hash = fast_hash(contents(static_cast<size_t>(i)));
  });
  const auto table = std::as_bytes(std::span(entries));
  Header header = {{}, identity, blobs.size(), fast_hash(table)};
  std::memcpy(header.magic.data(), kMagic.data(), kMagic.size());
  ETTIN_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path));
  ETTIN_RETURN_IF_ERROR(file.write_at(0, std::as_bytes(std::span(&header, 1))));
  ETTIN_RETURN_IF_ERROR(file.write_at(kHeader, table));
  for (size_t i = 0; i < blobs.size(); ++i) {
    ETTIN_RETURN_IF_ERROR(file.write_at(entries[i].offset, contents(i)));
  }
  return file.commit();
}

}  // namespace ettin
