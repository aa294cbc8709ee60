#include "formats/torch_file.h"

#include <cstring>

#include <gtest/gtest.h>

#include "formats/test_torch_file.h"

namespace ettin::test {
namespace {

// What CPython's pickler (protocols 2 and 4, with memo) writes for a state_dict with "_metadata":
// "w" [2,3] and its transposed view "wt" [3,2] on storage 0, the half parameter "p" [2] on 1.
constexpr std::string_view kProtocol2 =
    "800263636f6c6c656374696f6e730a4f726465726564446963740a710029527101285801000000777102"
    "63746f7263682e5f7574696c730a5f72656275696c645f74656e736f725f76320a710328285807000000"
    "73746f72616765710463746f7263680a466c6f617453746f726167650a71055801000000307106580300"
    "000063707571074b06747108514b004b024b038671094b034b0186710a8968002952710b74710c52710d"
    "58020000007774710e6803282868046805680668074b0674710f514b004b034b028671104b014b038671"
    "1189680029527112747113527114580100000070711563746f7263682e5f7574696c730a5f7265627569"
    "6c645f706172616d657465720a711668032828680463746f7263680a48616c6653746f726167650a7117"
    "580100000031711868074b02747119514b004b0285711a4b0185711b8968002952711c74711d52711e88"
    "68002952711f877120527121757d712258090000005f6d65746164617461712368002952712458000000"
    "0071257d7126580700000076657273696f6e71274b01737373622e";
constexpr std::string_view kProtocol4 =
    "8004954e010000000000008c0b636f6c6c656374696f6e73948c0b4f7264657265644469637494939429"
    "5294288c0177948c0c746f7263682e5f7574696c73948c125f72656275696c645f74656e736f725f7632"
    "94939428288c0773746f72616765948c05746f726368948c0c466c6f617453746f726167659493948c01"
    "30948c03637075944b067494514b004b024b0386944b034b018694896802295294749452948c02777494"
    "680728286808680b680c680d4b067494514b004b034b0286944b014b038694896802295294749452948c"
    "01709468058c125f72656275696c645f706172616d6574657294939468072828680868098c0b48616c66"
    "53746f726167659493948c013194680d4b027494514b004b0285944b0185948968022952947494529488"
    "680229529487945294757d948c095f6d657461646174619468022952948c00947d948c0776657273696f"
    "6e944b01737373622e";

std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

std::vector<float> values(const StoredTensor& tensor) {
  std::vector<float> out(tensor.element_count());
  read_elements(tensor, 0, std::span<float>(out));
  return out;
}

TEST(TorchFile, ReadsWhatCPythonPickles) {
  const std::string halves("\x00\x3c\x00\xc0", 4);  // 1, -2
  for (const std::string_view hex : {kProtocol2, kProtocol4}) {
    const std::string zip =
        make_zip(torch_items(from_hex(hex), {floats({0, 1, 2, 3, 4, 5}), halves}));
    const auto file = parse_torch_file(bytes_of(zip), "t.bin");
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    ASSERT_EQ(file->tensors.size(), 3U);
    EXPECT_EQ(file->tensors[0].name, "w");
    EXPECT_EQ(values(file->tensors[0]), (std::vector<float>{0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(file->tensors[1].name, "wt");
    EXPECT_EQ(file->tensors[1].shape, (std::vector<uint64_t>{3, 2}));
    EXPECT_EQ(values(file->tensors[1]), (std::vector<float>{0, 3, 1, 4, 2, 5}));
    EXPECT_EQ(file->tensors[2].dtype, Dtype::f16);
    EXPECT_EQ(values(file->tensors[2]), (std::vector<float>{1, -2}));
  }
}

TEST(TorchFile, TiedTensorsShareTheirBytes) {
  SavedTensor a, b;
  b.name = "b";
  b.offset = 3;
  b.shape = {3};
  b.strides = {1};
  const std::string zip = make_zip(torch_items(state_dict({a, b}), {floats({0, 1, 2, 3, 4, 5})}));
  const auto file = parse_torch_file(bytes_of(zip), "t.bin");
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(file->tensors[1].bytes.data(), file->tensors[0].bytes.data() + 12);
  EXPECT_EQ(file->owner, nullptr);
}

TEST(TorchFile, PermutedDimensionsAreCopiedInOrder) {
  // Memory order (2, 0, 1) of shape [2, 3, 4]: element (i, j, k) lies at 6k + 3i + j.
  SavedTensor spec;
  spec.elements = 24;
  spec.shape = {2, 3, 4};
  spec.strides = {3, 1, 6};
  std::string storage;
  for (int i = 0; i < 24; ++i) {
    const float f = static_cast<float>(i);
    storage.append(reinterpret_cast<const char*>(&f), sizeof f);
  }
  const std::string zip = make_zip(torch_items(state_dict({spec}), {storage}));
  const auto file = parse_torch_file(bytes_of(zip), "t.bin");
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  const std::vector<float> got = values(file->tensors[0]);
  for (size_t i = 0; i < 2; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      for (size_t k = 0; k < 4; ++k) {
        EXPECT_EQ(got[(i * 3 + j) * 4 + k], static_cast<float>(6 * k + 3 * i + j));
      }
    }
  }
}

TEST(TorchFile, OddButHonestTensorsAreRead) {
  SavedTensor scalar, empty, ones;
  scalar.shape = scalar.strides = {};
  scalar.offset = 5;
  empty.name = "empty";
  empty.shape = {0, 3};
  ones.name = "ones";  // a dimension of 1 may have any stride
  ones.shape = {1, 6, 1};
  ones.strides = {777, 1, 0};
  const std::string zip =
      make_zip(torch_items(state_dict({scalar, empty, ones}), {floats({0, 1, 2, 3, 4, 5})}));
  const auto file = parse_torch_file(bytes_of(zip), "t.bin");
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(values(file->tensors[0]), (std::vector<float>{5}));
  EXPECT_TRUE(file->tensors[1].bytes.empty());
  EXPECT_EQ(values(file->tensors[2]), (std::vector<float>{0, 1, 2, 3, 4, 5}));
}

TEST(TorchFile, EveryStorageTypeHasItsElementType) {
  const std::vector<std::pair<std::string, Dtype>> types{
      {"DoubleStorage", Dtype::f64},    {"FloatStorage", Dtype::f32}, {"HalfStorage", Dtype::f16},
      {"BFloat16Storage", Dtype::bf16}, {"LongStorage", Dtype::i64},  {"IntStorage", Dtype::i32},
      {"ShortStorage", Dtype::i16},     {"CharStorage", Dtype::i8},   {"ByteStorage", Dtype::u8},
      {"BoolStorage", Dtype::boolean}};
  for (const auto& [name, dtype] : types) {
    SavedTensor spec;
    spec.type = name;
    const std::string zip = make_zip(
        torch_items(state_dict({spec}), {std::string(size_t{6} * dtype_bytes(dtype), '\0')}));
    const auto file = parse_torch_file(bytes_of(zip), "t.bin");
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    EXPECT_EQ(file->tensors[0].dtype, dtype) << name;
  }
}

TEST(TorchFile, AcceptsTheZipsThatWritersMake) {
  const auto accepted = [](const std::vector<ZipItem>& items, const ZipTail& tail) {
    const auto file = parse_torch_file(bytes_of(make_zip(items, tail)), "t.bin");
    EXPECT_TRUE(file.ok()) << file.status().to_string();
  };
  auto items = torch_items(state_dict({SavedTensor{}}), {floats({0, 1, 2, 3, 4, 5})});
  ZipTail tail;
  accepted(items, tail);
  tail.comment = "a comment";
  accepted(items, tail);
  tail.zip64 = false;
  accepted(items, tail);
  items[1].data = "";  // a file of the time before the byteorder entry
  items[1].name = "archive/version";
  accepted(items, tail);
  tail = {};
  tail.narrow_entries = 0xffff;
  tail.narrow_bytes = tail.narrow_offset = 0xffffffff;
  accepted(items, tail);
  // Sizes after the data, padding in the local header, zip64 sizes in the central one.
  items[2].flags = 0x808;
  items[2].local_size = items[2].local_packed = 0;
  items[2].local_extra = "FB" + little_endian(5, 2) + "ZZZZZ";
  items[2].size = items[2].packed = 0xffffffff;
  items[2].extra =
      little_endian(1, 2) + little_endian(16, 2) + little_endian(24, 8) + little_endian(24, 8);
  accepted(items, {});
}

}  // namespace
}  // namespace ettin::test
