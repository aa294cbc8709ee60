// Zip archives, and their agreement with the pickle inside, that must be refused.
#include <fmt/format.h>

#include "formats/test_torch_file.h"

namespace ettin::test {
namespace {

constexpr const char* kFile = "pytorch_model.bin";

HostileCase zip_case(std::string name, std::string words, std::string contents) {
  return {fmt::format("zip {}", name),
          Reader::weights,
          kFile,
          std::move(words),
          {{kFile, std::move(contents)}}};
}

std::vector<ZipItem> items() {
  return torch_items(state_dict({SavedTensor{}}), {floats({0, 1, 2, 3, 4, 5})});
}

// The good archive after `change` was applied to its storage entry.
template <class Change>
HostileCase item_case(std::string name, std::string words, Change change) {
  auto list = items();
  change(list[2]);
  return zip_case(std::move(name), std::move(words), make_zip(list));
}
template <class Change>
HostileCase tail_case(std::string name, std::string words, Change change) {
  ZipTail tail;
  change(tail);
  return zip_case(std::move(name), std::move(words), make_zip(items(), tail));
}
HostileCase name_case(std::string name, std::string entry) {
  return item_case(fmt::format("entry name {}", name), "refused name",
                   [&](ZipItem& item) { item.name = entry; });
}
HostileCase tensor_case(std::string name, std::string words, SavedTensor spec) {
  spec.name = "a";
  return zip_case(std::move(name), std::move(words),
                  make_zip(torch_items(state_dict({std::move(spec)}), {std::string(24, '\0')})));
}

std::string shared_transposes() {
  std::vector<SavedTensor> tensors;
  for (int i = 0; i < 2000; ++i) {
    SavedTensor spec{fmt::format("t{}", i), "FloatStorage", "0", 90000, 0, {300, 300}, {1, 300}};
    tensors.push_back(spec);
  }
  return make_zip(torch_items(state_dict(tensors), {std::string(360000, '\0')}));
}

}  // namespace

std::vector<HostileCase> hostile_zips() {
  const std::string good = good_torch_file();
  const uint64_t big = uint64_t{1} << 62;
  const std::string zip64_one = little_endian(1, 2) + little_endian(8, 2) + little_endian(24, 8);
  std::vector<HostileCase> cases{
      zip_case("empty file", "not a zip archive", ""),
      zip_case("text", "not a zip archive", "this is not a model file at all"),
      zip_case("git-lfs pointer", "not a zip archive", "version https://git-lfs.github.com/spec"),
      zip_case("legacy pickle", "before version 1.6", "\x80\x02\x8a\x0a"),
      zip_case("only a magic number", "not a zip archive", "PK\x03\x04"),
      zip_case("no end record", "no end record", good.substr(0, good.size() - 22)),
      zip_case("trailing byte", "no end record", good + "x"),
      zip_case("leading byte", "not a zip archive", fmt::format("x{}", good)),
      zip_case("gzip", "not a zip archive", "\x1f\x8b\x08" + std::string(40, '\0')),
      item_case("deflated entry", "is compressed (method 8)", [](ZipItem& i) { i.method = 8; }),
      item_case("zstd entry", "is compressed (method 93)", [](ZipItem& i) { i.method = 93; }),
      item_case("encrypted entry", "is encrypted", [](ZipItem& i) { i.flags = 1; }),
      item_case("strongly encrypted entry", "is encrypted", [](ZipItem& i) { i.flags = 0x41; }),
      item_case("masked headers", "is encrypted", [](ZipItem& i) { i.flags = 0x2000; }),
      item_case("entry on another volume", "another volume", [](ZipItem& i) { i.disk = 1; }),
      item_case("no local signature", "no header where", [](ZipItem& i) { i.local_signature = 0; }),
      item_case("no central signature", "lacks its signature", [](ZipItem& i) { i.signature = 0; }),
      item_case("local name differs", "different names",
                [](ZipItem& i) { i.local_name = "archive/data/9"; }),
      item_case("local name longer", "different names",
                [](ZipItem& i) { i.local_name = "archive/data/00"; }),
      item_case("sizes differ", "two sizes differ", [](ZipItem& i) { i.packed = 4; }),
      item_case("local size differs", "different sizes", [](ZipItem& i) { i.local_size = 20; }),
      item_case("local packed differs", "different sizes", [](ZipItem& i) { i.local_packed = 0; }),
      item_case("size beyond the file", "leave the file",
                [](ZipItem& i) { i.size = i.packed = i.local_size = i.local_packed = 9999; }),
      item_case("size into the directory", "leave the file",
                [](ZipItem& i) { i.size = i.packed = i.local_size = i.local_packed = 25; }),
      item_case("header past the end", "outside the file", [](ZipItem& i) { i.offset = 99999; }),
      item_case("header inside another", "no header where", [](ZipItem& i) { i.offset = 1; }),
      item_case("header of another entry", "different names", [](ZipItem& i) { i.offset = 0; }),
      item_case("saturated size without zip64", "lacks a value",
                [](ZipItem& i) { i.size = 0xffffffff; }),
      item_case("saturated offset without zip64", "lacks a value",
                [](ZipItem& i) { i.offset = 0xffffffff; }),
      item_case("zip64 with one value of two", "lacks a value",
                [&](ZipItem& i) {
                  i.size = i.packed = 0xffffffff;
                  i.extra = zip64_one;
                }),
      item_case("zip64 size of 2^62", "leave the file",
                [&](ZipItem& i) {
                  i.size = i.packed = i.local_size = i.local_packed = 0xffffffff;
                  i.extra = little_endian(1, 2) + little_endian(16, 2) + little_endian(big, 8) +
                            little_endian(big, 8);
                  i.local_extra = i.extra;
                }),
      item_case("zip64 offset of 2^64-1", "outside the file",
                [&](ZipItem& i) {
                  i.offset = 0xffffffff;
                  i.extra = little_endian(1, 2) + little_endian(8, 2) + std::string(8, '\xff');
                }),
      item_case("two zip64 fields", "two zip64 fields",
                [&](ZipItem& i) { i.extra = zip64_one + zip64_one; }),
      item_case("extra field leaves the header", "leaves the header",
                [](ZipItem& i) { i.extra = little_endian(7, 2) + little_endian(99, 2); }),
      item_case("cut extra field", "cut extra field", [](ZipItem& i) { i.extra = "xy"; }),
      item_case("cut local extra field", "cut extra field",
                [](ZipItem& i) { i.local_extra = "xyz"; }),
      item_case("duplicate entry", "occurs twice", [](ZipItem& i) { i.name = "archive/data.pkl"; }),
      name_case("empty", ""),
      name_case("absolute", "/archive/data/0"),
      name_case("parent", "archive/../data/0"),
      name_case("dot", "archive/./data/0"),
      name_case("double slash", "archive//data/0"),
      name_case("folder", "archive/data/"),
      name_case("backslash", "archive\\data\\0"),
      name_case("NUL", std::string("archive/data/0\0x", 16)),
      name_case("newline", "archive/data/0\n"),
      name_case("invalid UTF-8", "archive/data/\xff"),
      name_case("2000 bytes", std::string(2000, 'x')),
      tail_case("of several volumes", "several volumes", [](ZipTail& t) { t.disk = 1; }),
      tail_case("with fewer entries on this volume", "several volumes",
                [](ZipTail& t) { t.disk_entries = 1; }),
      tail_case("with more entries than it has", "ends inside an entry",
                [](ZipTail& t) { t.entries = 4; }),
      tail_case("with fewer entries than it has", "longer than its entries",
                [](ZipTail& t) { t.entries = 2; }),
      tail_case("with 2^62 entries", "at most",
                [&](ZipTail& t) {
                  t.entries = big;
                  t.narrow_entries = 0xffff;
                }),
      tail_case("with 65534 entries", "ends inside an entry",
                [](ZipTail& t) { t.entries = 65534; }),
      tail_case("directory of 2^62 bytes", "does not end where",
                [&](ZipTail& t) {
                  t.bytes = big;
                  t.narrow_bytes = 0xffffffff;
                }),
      tail_case("directory sum wraps", "does not end where",
                [&](ZipTail& t) {
                  t.bytes = ~uint64_t{0};
                  t.narrow_bytes = 0xffffffff;
                }),
      tail_case("directory elsewhere", "does not end where", [](ZipTail& t) { t.offset = 0; }),
      tail_case("gap before the end record", "does not end where",
                [](ZipTail& t) { t.between = "gap"; }),
      tail_case("end records disagree on entries", "disagree",
                [](ZipTail& t) { t.narrow_entries = 2; }),
      tail_case("end records disagree on the offset", "disagree",
                [](ZipTail& t) { t.narrow_offset = 7; }),
      tail_case("locator past the end", "does not point", [](ZipTail& t) { t.locator = 1 << 30; }),
      tail_case("locator of 2^64-1", "does not point",
                [](ZipTail& t) { t.locator = ~uint64_t{0}; }),
      tail_case("locator to an entry", "does not point", [](ZipTail& t) { t.locator = 0; }),
      tail_case("zip64 record too long", "wrong length", [](ZipTail& t) { t.record_bytes = 45; }),
      tail_case("zip64 record length wraps", "wrong length",
                [](ZipTail& t) { t.record_bytes = ~uint64_t{0} - 11; }),
      tail_case("zip64 record missing", "zip64 end record is missing",
                [](ZipTail& t) {
                  t.zip64 = false;
                  t.narrow_offset = 0xffffffff;
                }),
      tensor_case("storage missing", "data/7 is missing", {"", "FloatStorage", "7"}),
      tensor_case("storage shorter than declared", "has 24 bytes", {"", "FloatStorage", "0", 7}),
      tensor_case("storage longer than declared", "has 24 bytes", {"", "FloatStorage", "0", 5}),
      tensor_case("storage of another width", "has 24 bytes", {"", "DoubleStorage", "0", 6}),
      tensor_case("storage of 2^61 elements", "has 24 bytes",
                  {"", "FloatStorage", "0", int64_t{1} << 61}),
      tensor_case("storage byte count wraps to 24", "has 24 bytes",
                  {"", "FloatStorage", "0", (int64_t{1} << 62) + 6}),
      tensor_case("offset past the end", "leave its storage",
                  {"", "FloatStorage", "0", 6, 1, {2, 3}, {3, 1}}),
      tensor_case("offset of 2^63-1", "leave its storage",
                  {"", "FloatStorage", "0", 6, INT64_MAX, {2, 3}, {3, 1}}),
      tensor_case("shape past the end", "leave its storage",
                  {"", "FloatStorage", "0", 6, 0, {3, 3}, {3, 1}}),
      tensor_case("shape overflows", "overflows",
                  {"", "FloatStorage", "0", 6, 0, {int64_t{1} << 40, int64_t{1} << 40}, {1, 1}}),
      tensor_case("expanded dimension", "has strides",
                  {"", "FloatStorage", "0", 6, 0, {2, 3}, {0, 1}}),
      tensor_case("expanded bomb", "leave its storage",
                  {"", "FloatStorage", "0", 6, 0, {1000000, 1000000}, {0, 0}}),
      tensor_case("strides with gaps", "has strides",
                  {"", "FloatStorage", "0", 6, 0, {2, 2}, {3, 1}}),
      tensor_case("overlapping strides", "has strides",
                  {"", "FloatStorage", "0", 6, 0, {2, 3}, {1, 1}}),
      tensor_case("huge stride", "has strides",
                  {"", "FloatStorage", "0", 6, 0, {2, 3}, {INT64_MAX, 1}}),
      zip_case("transposed copies of one storage", "more memory", shared_transposes()),
  };
  auto list = items();
  list[1].data = "big";
  cases.push_back(zip_case("big-endian", "byteorder is big", make_zip(list)));
  list[1].data = "middle";
  cases.push_back(zip_case("middle-endian", "byteorder", make_zip(list)));
  list = items();
  list[0].name = "archive/other.pkl";
  cases.push_back(zip_case("without data.pkl", "no data.pkl", make_zip(list)));
  list = items();
  list[1].name = "second/data.pkl";
  cases.push_back(zip_case("with two pickles", "two data.pkl", make_zip(list)));
  list = items();
  list[1].offset = 0;
  list[1].local_name = "archive/byteorder";
  cases.push_back(zip_case("two entries on one header", "different names", make_zip(list)));
  list = items();
  list[0].size = list[0].packed = list[0].local_size = list[0].local_packed =
      list[0].data.size() + 60;
  cases.push_back(zip_case("overlapping entries", "overlaps another", make_zip(list)));
  return cases;
}

}  // namespace ettin::test
