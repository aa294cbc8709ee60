#include "formats/zip_archive.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/utf8.h"
#include "formats/byte_reader.h"

namespace ettin {
namespace {

constexpr uint64_t kLocalSignature = 0x04034b50;
constexpr uint64_t kCentralSignature = 0x02014b50;
constexpr uint64_t kEndSignature = 0x06054b50;
constexpr uint64_t kEnd64Signature = 0x06064b50;
constexpr uint64_t kLocator64Signature = 0x07064b50;
constexpr size_t kLocalBytes = 30;
constexpr size_t kCentralBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kLocator64Bytes = 20;
constexpr size_t kMaxComment = 0xffff;
constexpr uint64_t kFull16 = 0xffff;
constexpr uint64_t kFull32 = 0xffffffff;
constexpr uint64_t kMaxEntries = 100'000;
constexpr size_t kMaxNameBytes = 1024;
constexpr uint64_t kEncryptedFlags = 0x1 | 0x40 | 0x2000;
constexpr uint64_t kSizesFollowFlag = 0x8;  // the local header may hold zeros

// Fields of a header whose length was checked.
uint64_t field(std::span<const std::byte> header, size_t at, size_t width) {
  return ByteReader(header.subspan(at, width)).unsigned_le(width).value_or(0);
}

struct Directory {
  uint64_t entries = 0;
  uint64_t bytes = 0;
  uint64_t offset = 0;
};

// What one header says about an entry; sizes still as written, 0xffffffff meaning "see extra".
struct Header {
  uint64_t flags = 0, method = 0, packed = 0, size = 0, local_offset = 0, disk = 0;
};

class ZipReader {
 public:
  ZipReader(std::span<const std::byte> file, std::string_view where) : file_(file), where_(where) {}

  Result<std::vector<ZipEntry>> read() {
    if (file_.size() < kEndBytes || field(file_, 0, 4) != kLocalSignature) {
      return bad("not a zip archive: it does not start with an entry");
    }
    ETTIN_ASSIGN_OR_RETURN(const Directory directory, find_directory());
    ByteReader in(file_.subspan(directory.offset, directory.bytes));
    for (uint64_t i = 0; i < directory.entries; ++i) {
      ETTIN_RETURN_IF_ERROR(read_entry(directory, &in));
    }
    if (in.left() != 0) return bad("the central directory is longer than its entries");
    ETTIN_RETURN_IF_ERROR(check_overlap());
    return std::move(entries_);
  }

 private:
  struct Extent {
    uint64_t begin, end;
    size_t index;
  };

  Status bad(std::string_view why) const {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", where_, why));
  }
  Status bad_entry(std::string_view name, std::string_view why) const {
    return bad(fmt::format("zip entry \"{}\": {}", replace_invalid_utf8(name), why));
  }

  // The end record is the last thing in the file, but for a comment of the length it states.
  Result<size_t> find_end() const {
    const size_t last = file_.size() - kEndBytes;
    const size_t first = last > kMaxComment ? last - kMaxComment : 0;
    for (size_t at = last + 1; at-- > first;) {
      if (field(file_, at, 4) != kEndSignature) continue;
      if (at + kEndBytes + field(file_, at + 20, 2) == file_.size()) return at;
    }
    return Status(StatusCode::bad_data,
                  fmt::format("{}: the zip archive has no end record", where_),
                  "the file is truncated: download it again");
  }

  Result<Directory> find_directory() const {
    ETTIN_ASSIGN_OR_RETURN(const size_t end, find_end());
    Directory directory;
    directory.entries = field(file_, end + 10, 2);
    directory.bytes = field(file_, end + 12, 4);
    directory.offset = field(file_, end + 16, 4);
    if (field(file_, end + 4, 2) != 0 || field(file_, end + 6, 2) != 0 ||
        field(file_, end + 8, 2) != directory.entries) {
      return bad("a zip archive of several volumes");
    }
    size_t directory_end = end;
    const bool has_locator = end >= kLocator64Bytes + kEnd64Bytes &&
                             field(file_, end - kLocator64Bytes, 4) == kLocator64Signature;
    if (has_locator) {
      ETTIN_RETURN_IF_ERROR(read_end64(end - kLocator64Bytes, &directory, &directory_end));
    } else if (directory.entries == kFull16 || directory.bytes == kFull32 ||
               directory.offset == kFull32) {
      return bad("the zip64 end record is missing");
    }
    if (directory.entries > kMaxEntries) {
      return bad(
          fmt::format("{} zip entries; at most {} are read", directory.entries, kMaxEntries));
    }
    const auto stated_end = checked_add(directory.offset, directory.bytes);
    if (stated_end != directory_end) {
      return bad(
          fmt::format("the central directory at {} of {} bytes does not end where the end "
                      "record starts, {}",
                      directory.offset, directory.bytes, directory_end));
    }
    return directory;
  }

  Status read_end64(size_t locator, Directory* directory, size_t* directory_end) const {
    const uint64_t at = field(file_, locator + 8, 8);
    if (field(file_, locator + 4, 4) != 0 || field(file_, locator + 16, 4) > 1) {
      return bad("a zip archive of several volumes");
    }
    if (at > locator - kEnd64Bytes || field(file_, at, 4) != kEnd64Signature) {
      return bad("the zip64 locator does not point at an end record");
    }
    const auto record_end = checked_add(at + 12, field(file_, at + 4, 8));
    if (record_end != locator) return bad("the zip64 end record has a wrong length");
    if (field(file_, at + 16, 4) != 0 || field(file_, at + 20, 4) != 0 ||
        field(file_, at + 24, 8) != field(file_, at + 32, 8)) {
      return bad("a zip archive of several volumes");
    }
    const Directory wide{field(file_, at + 32, 8), field(file_, at + 40, 8),
                         field(file_, at + 48, 8)};
    const auto agrees = [](uint64_t narrow, uint64_t full, uint64_t value) {
      return narrow == full || narrow == value;
    };
    if (!agrees(directory->entries, kFull16, wide.entries) ||
        !agrees(directory->bytes, kFull32, wide.bytes) ||
        !agrees(directory->offset, kFull32, wide.offset)) {
      return bad("the two end records of the zip archive disagree");
    }
    *directory = wide;
    *directory_end = static_cast<size_t>(at);
    return {};
  }

  // Replaces the saturated values, in the order given, by those of the zip64 extra field.
  Status apply_zip64(std::string_view name, std::span<const std::byte> extra,
                     std::span<uint64_t* const> values) const {
    std::optional<std::span<const std::byte>> zip64;
    ByteReader in(extra);
    while (in.left() >= 4) {
      const uint64_t id = *in.unsigned_le(2);
      const auto body = in.take(*in.unsigned_le(2));
      if (!body) return bad_entry(name, "an extra field leaves the header");
      if (id != 1) continue;
      if (zip64) return bad_entry(name, "two zip64 fields");
      zip64 = body;
    }
    if (in.left() != 0) return bad_entry(name, "a cut extra field");
    ByteReader wide(zip64.value_or(std::span<const std::byte>()));
    for (uint64_t* value : values) {
      if (*value != kFull32) continue;
      const auto number = wide.unsigned_le(8);
      if (!number) return bad_entry(name, "the zip64 field lacks a value");
      *value = *number;
    }
    return {};
  }

  Status check_name(std::string_view name) const {
    const bool sane = !name.empty() && name.size() <= kMaxNameBytes && is_valid_utf8(name) &&
                      name.front() != '/' && name.back() != '/' &&
                      std::none_of(name.begin(), name.end(), [](char c) {
                        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\';
                      });
    if (!sane) return bad_entry(name.substr(0, 80), "refused name");
    for (size_t at = 0; at <= name.size();) {
      const size_t slash = std::min(name.find('/', at), name.size());
      const std::string_view part = name.substr(at, slash - at);
      if (part.empty() || part == "." || part == "..") return bad_entry(name, "refused name");
      at = slash + 1;
    }
    return {};
  }

  Status check_header(std::string_view name, const Header& header) const {
    if ((header.flags & kEncryptedFlags) != 0) return bad_entry(name, "is encrypted");
    if (header.method != 0) {
      return Status(StatusCode::unsupported,
                    fmt::format("{}: zip entry \"{}\" is compressed (method {})", where_,
                                replace_invalid_utf8(name), header.method),
                    "only archives as torch.save writes them are read");
    }
    return {};
  }

  Status read_entry(const Directory& directory, ByteReader* in) {
    const auto fixed = in->take(kCentralBytes);
    if (!fixed) return bad("the central directory ends inside an entry");
    if (field(*fixed, 0, 4) != kCentralSignature)
      return bad(
          "an entry of the central directory "
          "lacks its signature");
    Header header{field(*fixed, 8, 2),  field(*fixed, 10, 2), field(*fixed, 20, 4),
                  field(*fixed, 24, 4), field(*fixed, 42, 4), field(*fixed, 34, 2)};
    const auto name = in->text(field(*fixed, 28, 2));
    const auto extra = in->take(field(*fixed, 30, 2));
    const auto comment = in->take(field(*fixed, 32, 2));
    if (!name || !extra || !comment) return bad("the central directory ends inside an entry");
    ETTIN_RETURN_IF_ERROR(check_name(*name));
    ETTIN_RETURN_IF_ERROR(check_header(*name, header));
    if (header.disk != 0) return bad_entry(*name, "is on another volume");
    const std::array<uint64_t*, 3> wide{&header.size, &header.packed, &header.local_offset};
    ETTIN_RETURN_IF_ERROR(apply_zip64(*name, *extra, wide));
    if (header.packed != header.size) return bad_entry(*name, "its two sizes differ");
    if (!names_.emplace(*name).second) return bad_entry(*name, "the name occurs twice");
    return read_local(directory, *name, header);
  }

  Status read_local(const Directory& directory, std::string_view name, const Header& central) {
    const std::span<const std::byte> area = file_.first(directory.offset);
    if (central.local_offset > area.size() || area.size() - central.local_offset < kLocalBytes) {
      return bad_entry(name,
                       fmt::format("its header at {} is outside the file", central.local_offset));
    }
    ByteReader in(area.subspan(central.local_offset));
    const auto fixed = in.take(kLocalBytes);
    if (!fixed || field(*fixed, 0, 4) != kLocalSignature) {
      return bad_entry(name, "no header where the central directory says");
    }
    Header local{
        field(*fixed, 6, 2), field(*fixed, 8, 2), field(*fixed, 18, 4), field(*fixed, 22, 4), 0, 0};
    const auto local_name = in.text(field(*fixed, 26, 2));
    const auto extra = in.take(field(*fixed, 28, 2));
    if (!local_name || !extra) return bad_entry(name, "its header leaves the file");
    if (*local_name != name) return bad_entry(name, "its two headers have different names");
    ETTIN_RETURN_IF_ERROR(check_header(name, local));
    const std::array<uint64_t*, 2> wide{&local.size, &local.packed};
    ETTIN_RETURN_IF_ERROR(apply_zip64(name, *extra, wide));
    const bool follow = (local.flags & kSizesFollowFlag) != 0;
    const auto agrees = [&](uint64_t value, uint64_t expected) {
      return value == expected || (follow && value == 0);
    };
    if (!agrees(local.size, central.size) || !agrees(local.packed, central.packed)) {
      return bad_entry(name, "its two headers have different sizes");
    }
    const uint64_t begin = central.local_offset;
    const auto data = in.take(central.size);
    if (!data) return bad_entry(name, fmt::format("its {} bytes leave the file", central.size));
    extents_.push_back({begin, begin + in.position(), entries_.size()});
    entries_.push_back({std::string(name), *data});
    return {};
  }

  Status check_overlap() {
    std::sort(extents_.begin(), extents_.end(),
              [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    for (size_t i = 1; i < extents_.size(); ++i) {
      if (extents_[i].begin < extents_[i - 1].end) {
        return bad_entry(entries_[extents_[i].index].name, "overlaps another entry");
      }
    }
    return {};
  }

  std::span<const std::byte> file_;
  std::string_view where_;
  std::vector<ZipEntry> entries_;
  std::vector<Extent> extents_;
  std::unordered_set<std::string> names_;
};

}  // namespace

Result<std::vector<ZipEntry>> read_stored_zip(std::span<const std::byte> file,
                                              std::string_view where) {
  return ZipReader(file, where).read();
}

}  // namespace ettin
