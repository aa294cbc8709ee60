// Shards that lie: each in its own way, each refused with its own words.
#include <gtest/gtest.h>

#include <functional>

#include "base/compress.h"
#include "base/json.h"
#include "base/test_files.h"
#include "formats/mds_shard.h"
#include "formats/mds_writer.h"

namespace ettin {
namespace {

using test::slurp;
using test::TempDir;

// A folder of one shard of three samples, {id: str, input_ids: ndarray:uint32}, to be damaged.
class HostileMds : public testing::Test {
 protected:
  void write(const MdsWriterOptions& options) {
    auto writer = MdsWriter::create(folder_.path(), options);
    ASSERT_TRUE(writer.ok());
    const std::vector<uint32_t> ids = {1, 2, 3};
    for (const char* id : {"a", "bb", "ccc"}) {
      ASSERT_TRUE(
          writer
              ->add(std::vector<MdsValue>{
                  std::string(id), MdsArray{MdsDtype::u32, {3}, std::as_bytes(std::span(ids))}})
              .ok());
    }
    ASSERT_TRUE(writer->finish().ok());
  }

  void SetUp() override { write({.columns = {{"id", "str"}, {"input_ids", "ndarray:uint32"}}}); }

  // The first error of reading everything, hashes included.
  Status read_all() const {
    ETTIN_ASSIGN_OR_RETURN(const auto index, read_mds_index(folder_.path()));
    for (const MdsShardInfo& info : index) {
      ETTIN_ASSIGN_OR_RETURN(const MdsShard shard, MdsShard::open(folder_.path(), info, true));
      for (uint64_t i = 0; i < info.samples; ++i) {
        ETTIN_RETURN_IF_ERROR(shard.sample(i, info.columns).status());
      }
    }
    return {};
  }

  void refused(std::string_view words, StatusCode code = StatusCode::bad_data) const {
    const Status status = read_all();
    EXPECT_EQ(status.code(), code) << status.to_string();
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(folder_.path()), std::string::npos) << status.message();
  }

  void edit_index(const std::function<void(Json&)>& edit) const {
    Json index = *parse_json_file(folder_.path() + "/index.json");
    edit(index);
    folder_.write("index.json", dump_json(index));
  }
  void edit_shard(const std::function<void(Json&)>& edit) const {
    edit_index([&](Json& index) { edit(index["shards"][0]); });
  }
  void edit_file(const std::function<void(std::string&)>& edit) const {
    std::string bytes = slurp(folder_.path() + "/shard.00000.mds");
    edit(bytes);
    folder_.write("shard.00000.mds", bytes);
  }
  static void put_u32(std::string& bytes, size_t at, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i) & 0xff);
  }
  static uint32_t get_u32(const std::string& bytes, size_t at) {
    uint32_t value = 0;
    for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
  }

  TempDir folder_;
};

TEST_F(HostileMds, WholeOnesAreRead) { EXPECT_TRUE(read_all().ok()) << read_all().to_string(); }

TEST_F(HostileMds, Truncated) {
  edit_file([](std::string& b) { b.resize(b.size() - 7); });
  refused("index.json says");
}

TEST_F(HostileMds, PrefixesWithAnIndexThatAgrees) {
  const std::string whole = slurp(folder_.path() + "/shard.00000.mds");
  for (size_t size = 0; size < whole.size(); size += size < 24 ? 1 : 11) {
    folder_.write("shard.00000.mds", whole.substr(0, size));
    edit_shard([&](Json& s) { s["raw_data"]["bytes"] = size; });
    EXPECT_FALSE(read_all().ok()) << size;
  }
}

TEST_F(HostileMds, FlippedBytes) {
  const std::string whole = slurp(folder_.path() + "/shard.00000.mds");
  for (size_t at = 0; at < whole.size(); at += at < 24 ? 1 : 5) {
    edit_file([&](std::string& b) {
      b = whole;
      b[at] = static_cast<char>(b[at] ^ 0xff);
    });
    (void)read_all();  // an error or other values; never a read outside (see the sanitizers)
  }
}

TEST_F(HostileMds, NoSamples) {
  edit_file([](std::string& b) { put_u32(b, 0, 0); });
  refused("no samples");
}

TEST_F(HostileMds, MoreSamplesThanTheFileHasRoomFor) {
  edit_file([](std::string& b) { put_u32(b, 0, 1u << 30); });
  refused("index.json says 3");
  edit_shard([](Json& s) { s["samples"] = 1 << 30; });
  refused("do not fit");
}

TEST_F(HostileMds, Offsets) {
  const std::string whole = slurp(folder_.path() + "/shard.00000.mds");
  edit_file([](std::string& b) { put_u32(b, 8, 0xfffffff0u); });
  refused("behind the file's end");
  folder_.write("shard.00000.mds", whole);
  edit_file([](std::string& b) { put_u32(b, 12, get_u32(b, 8) - 1); });
  refused("lies before");
  folder_.write("shard.00000.mds", whole);
  edit_file([](std::string& b) { put_u32(b, 4, 3); });
  refused("lies before");
  folder_.write("shard.00000.mds", whole);
  edit_file([](std::string& b) { put_u32(b, 16, get_u32(b, 16) - 1); });
  refused("follow the last sample");
}

TEST_F(HostileMds, SizeWords) {
  const std::string whole = slurp(folder_.path() + "/shard.00000.mds");
  edit_file([](std::string& b) { put_u32(b, get_u32(b, 4), 0xffffffffu); });
  refused("larger than the sample");
  folder_.write("shard.00000.mds", whole);
  edit_file([](std::string& b) { put_u32(b, get_u32(b, 4), 2); });
  refused("sample 0: its columns have");
}

TEST_F(HostileMds, Arrays) {
  const std::string whole = slurp(folder_.path() + "/shard.00000.mds");
  const size_t head = get_u32(whole, 4) + 8 + 1;  // of the array, behind two sizes and "a"
  edit_file([&](std::string& b) { b[head + 1] = 4; });
  refused("an array of uint32[4] has 12 bytes");
  edit_file([&](std::string& b) { b[head] = 0; });
  refused("no dimensions");
  edit_file([&](std::string& b) { b[head] = static_cast<char>(63 << 2 | 3); });
  refused("inside its 63 dimensions");
  const auto decode = [](const char* encoding, std::string_view bytes) {
    return decode_mds(*parse_mds_encoding(encoding), std::as_bytes(std::span(bytes))).status();
  };
  EXPECT_NE(decode("ndarray", "\x07\x04\x01z").message().find("7 is no code"), std::string::npos);
  // The product of the dimensions overflows to the number of bytes that are there.
  const std::string huge("\x08\x0b\0\0\0\0\0\0\0\x80\x02\0\0\0\0\0\0\0", 18);
  EXPECT_FALSE(decode("ndarray", huge).ok());
  EXPECT_FALSE(decode("uint32", "abc").ok());
  EXPECT_FALSE(decode("str", "\xff").ok());
  EXPECT_FALSE(decode("str_int", "12a").ok());
  EXPECT_FALSE(decode("json", "[1").ok());
  EXPECT_FALSE(parse_mds_encoding("ndarray:uint8:0").ok());
  EXPECT_FALSE(parse_mds_encoding("ndarray:uint64:4294967296,4294967296").ok());
  std::string ranks = "ndarray:uint8:1";
  for (int i = 0; i < 63; ++i) ranks += ",1";
  EXPECT_FALSE(parse_mds_encoding(ranks).ok());
}

TEST_F(HostileMds, Columns) {
  edit_shard([](Json& s) { s["column_names"] = {"id", "id"}; });
  refused("occurs twice");
  edit_shard([](Json& s) { s["column_names"] = {"z", "id"}; });
  refused("not in its place");
  edit_shard([](Json& s) { s["column_names"] = {"id"}; });
  refused("differ in length");
  edit_shard([](Json& s) {
    s["column_names"] = {"id", "input_ids"};
    s["column_sizes"] = {nullptr, 8};
  });
  refused("does not fit its encoding");
  edit_shard([](Json& s) {
    s["column_sizes"] = {nullptr, nullptr};
    s["column_encodings"] = {"str", "pkl"};
  });
  refused("run code", StatusCode::unsupported);
  edit_shard([](Json& s) { s["column_encodings"] = {"str", "jpeg"}; });
  refused("\"jpeg\" is not known", StatusCode::unsupported);
}

TEST_F(HostileMds, NamesOfFiles) {
  for (const char* name : {"../shard.00000.mds", "/etc/passwd", "a//b", "", "a/../b", "a/"}) {
    edit_shard([&](Json& s) { s["raw_data"]["basename"] = name; });
    refused("refused file name");
  }
  edit_shard([](Json& s) { s["raw_data"]["basename"] = "shard.00009.mds"; });
  refused("shard.00009.mds", StatusCode::not_found);
}

TEST_F(HostileMds, ALinkThatLeavesTheFolder) {
  const TempDir other;
  const std::string target = other.write("x.mds", slurp(folder_.path() + "/shard.00000.mds"));
  std::filesystem::remove(folder_.path() + "/shard.00000.mds");
  std::filesystem::create_symlink(target, folder_.path() + "/shard.00000.mds");
  refused("leaves the model directory");
}

TEST_F(HostileMds, Versions) {
  edit_shard([](Json& s) { s["version"] = 1; });
  refused("version 1", StatusCode::unsupported);
  edit_index([](Json& i) { i["version"] = 1; });
  refused("version 1", StatusCode::unsupported);
  edit_index([](Json& i) {
    i["version"] = 2;
    i["shards"][0]["version"] = 2;
    i["shards"][0]["format"] = "csv";
  });
  refused("\"csv\"", StatusCode::unsupported);
}

TEST_F(HostileMds, Hashes) {
  write({.columns = {{"id", "str"}, {"input_ids", "ndarray:uint32"}}, .hashes = {"xxh3_64"}});
  EXPECT_TRUE(read_all().ok()) << read_all().to_string();
  edit_file([](std::string& b) { b.back() ^= 1; });
  refused("its xxh3_64 is");
  edit_shard([](Json& s) { s["raw_data"]["hashes"] = {{"crc32", "00"}}; });
  refused("\"crc32\" is not known", StatusCode::unsupported);
}

class CompressedHostileMds : public HostileMds {
 protected:
  void SetUp() override {
    write({.columns = {{"id", "str"}, {"input_ids", "ndarray:uint32"}}, .compression = "zstd"});
  }
  void replace(const std::string& packed) const {
    folder_.write("shard.00000.mds.zstd", packed);
    edit_shard([&](Json& s) { s["zip_data"]["bytes"] = packed.size(); });
  }
};

TEST_F(CompressedHostileMds, FramesThatHoldMoreOrLessThanTheIndexSays) {
  EXPECT_TRUE(read_all().ok()) << read_all().to_string();
  const std::string whole = slurp(folder_.path() + "/shard.00000.mds.zstd");
  const std::string zeros(size_t{4} << 20, '\0');
  replace(zstd_compress(std::as_bytes(std::span(zeros))));
  refused("bytes come out of it", StatusCode::resource_limit);
  // The index promises far more than the frame holds: nothing is allocated for it.
  replace(whole);
  edit_shard([](Json& s) { s["raw_data"]["bytes"] = uint64_t{1} << 32; });
  refused("index.json says 4294967296");
  edit_shard([](Json& s) { s["raw_data"]["bytes"] = uint64_t{1} << 60; });
  refused("at most 2^32");
}

TEST_F(CompressedHostileMds, DamagedFrames) {
  const std::string whole = slurp(folder_.path() + "/shard.00000.mds.zstd");
  replace(whole.substr(0, whole.size() - 4));
  refused("ends too early");
  replace("not zstd at all");
  refused("damaged zstd data");
  edit_shard([](Json& s) { s["compression"] = "br"; });
  refused("\"br\" is not known", StatusCode::unsupported);
  edit_shard([](Json& s) { s["compression"] = nullptr; });
  refused("contradict");
}

}  // namespace
}  // namespace ettin
