// The published shard sets: read, and written again byte for byte.
#include <gtest/gtest.h>

#include <cstring>

#include <fmt/format.h>

#include "base/compress.h"
#include "base/file.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/test_files.h"
#include "formats/mds_shard.h"
#include "formats/mds_writer.h"

namespace ettin {
namespace {

using test::slurp;
using test::TempDir;

const std::string kGolden = ETTIN_SHARED_DIR "/data/golden/mds";

class Mds : public testing::Test {
 protected:
  void SetUp() override {
    if (!directory_exists(kGolden)) GTEST_SKIP() << "SKIPPED: " << kGolden << " is not there";
    const auto expected = parse_json_file(kGolden + "/expected.json", {.big_integers = true});
    ASSERT_TRUE(expected.ok()) << expected.status().to_string();
    expected_ = *expected;
  }

  static std::vector<uint32_t> ids_of(const Json& sample) {
    return sample["input_ids"].get<std::vector<uint32_t>>();
  }

  // Every sample of the folder: its id and its token ids.
  static std::vector<std::pair<std::string, std::vector<uint32_t>>> read(
      const std::string& folder) {
    std::vector<std::pair<std::string, std::vector<uint32_t>>> out;
    const auto index = read_mds_index(folder);
    EXPECT_TRUE(index.ok()) << index.status().to_string();
    if (!index.ok()) return out;
    for (const MdsShardInfo& info : *index) {
      const auto shard = MdsShard::open(folder, info, /*check_hashes=*/true);
      EXPECT_TRUE(shard.ok()) << shard.status().to_string();
      if (!shard.ok()) return out;
      EXPECT_EQ(shard->config_text(), mds_config_text(info));
      for (uint64_t i = 0; i < info.samples; ++i) {
        const auto sample = shard->sample(i, info.columns);
        EXPECT_TRUE(sample.ok()) << sample.status().to_string();
        if (!sample.ok()) return out;
        const MdsArray& array = std::get<MdsArray>((*sample)[1]);
        std::vector<uint32_t> ids(array.elements());
        std::memcpy(ids.data(), array.bytes.data(), array.bytes.size());
        out.emplace_back(std::get<std::string>((*sample)[0]), std::move(ids));
      }
    }
    return out;
  }

  void expect_samples(const std::string& folder, size_t count) {
    const auto actual = read(folder);
    ASSERT_EQ(actual.size(), count) << folder;
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(actual[i].first, expected_["samples"][i]["id"].get<std::string>());
      EXPECT_EQ(actual[i].second, ids_of(expected_["samples"][i])) << folder << " sample " << i;
    }
  }

  void write_samples(const std::string& folder, const MdsWriterOptions& options) {
    auto writer = MdsWriter::create(folder, options);
    ASSERT_TRUE(writer.ok()) << writer.status().to_string();
    for (const Json& sample : expected_["samples"]) {
      const std::vector<uint32_t> ids = ids_of(sample);
      const Status status = writer->add(std::vector<MdsValue>{
          sample["id"].get<std::string>(),
          MdsArray{MdsDtype::u32, {ids.size()}, std::as_bytes(std::span(ids))}});
      ASSERT_TRUE(status.ok()) << status.to_string();
    }
    ASSERT_TRUE(writer->finish().ok());
  }

  static void expect_equal_files(const std::string& actual, const std::string& expected,
                                 std::initializer_list<const char*> names) {
    for (const std::string name : names) {
      EXPECT_EQ(slurp(actual + "/" + name), slurp(expected + "/" + name)) << name;
    }
  }

  Json expected_;
};

const std::vector<std::pair<std::string, std::string>> kTokenColumns = {
    {"input_ids", "ndarray:uint32"}, {"id", "str"}};

TEST_F(Mds, ReadsEverySet) {
  expect_samples(kGolden + "/plain", 14);
  expect_samples(kGolden + "/zstd", 14);
  expect_samples(kGolden + "/merged", 6);
}

TEST_F(Mds, WritesPlainShardsByteForByte) {
  const TempDir folder;
  write_samples(folder.path(), {.columns = kTokenColumns, .size_limit = 2300});
  expect_equal_files(folder.path(), kGolden + "/plain",
                     {"index.json", "shard.00000.mds", "shard.00001.mds", "shard.00002.mds"});
}

TEST_F(Mds, WritesCompressedShards) {
  const TempDir folder;
  write_samples(folder.path(), {.columns = kTokenColumns,
                                .compression = "zstd",
                                .hashes = {"xxh64", "sha1"},
                                .size_limit = 2300});
  expect_equal_files(folder.path(), kGolden + "/zstd",
                     {"shard.00000.mds.zstd", "shard.00001.mds.zstd"});
  // The last golden shard comes from a streaming compressor: equal when decompressed.
  const auto index = read_mds_index(folder.path());
  ASSERT_TRUE(index.ok());
  const Json& shards = expected_["zstd_shards"];
  ASSERT_EQ(index->size(), shards.size());
  for (size_t i = 0; i < shards.size(); ++i) {
    EXPECT_EQ((*index)[i].samples, shards[i]["samples"].get<uint64_t>());
    const std::string packed = slurp(folder.path() + "/" + (*index)[i].zip->basename);
    const auto raw = decompress(std::as_bytes(std::span(packed)), Compression::zstd, 1 << 20, "x");
    ASSERT_TRUE(raw.ok());
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(*raw))),
              shards[i]["raw_sha256"].get<std::string>());
  }
  expect_samples(folder.path(), 14);
}

TEST_F(Mds, WritesTheOneSampleFile) {
  const Json& one = expected_["one_sample_file"];
  const TempDir folder;
  auto writer = MdsWriter::create(folder.path(), {.columns = kTokenColumns, .compression = "zstd"});
  const std::vector<uint32_t> ids = ids_of(one["sample"]);
  ASSERT_TRUE(writer
                  ->add(std::vector<MdsValue>{
                      std::string("a"),
                      MdsArray{MdsDtype::u32, {ids.size()}, std::as_bytes(std::span(ids))}})
                  .ok());
  ASSERT_TRUE(writer->finish().ok());
  const std::string packed = slurp(folder.path() + "/shard.00000.mds.zstd");
  const auto raw = decompress(std::as_bytes(std::span(packed)), Compression::zstd, 1 << 20, "x");
  ASSERT_TRUE(raw.ok());
  std::string hex;
  for (const char c : *raw) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  EXPECT_EQ(hex, one["raw_hex"].get<std::string>());
}

TEST_F(Mds, MergesIndexes) {
  const auto merged = merge_mds_indexes(kGolden + "/merged", {"a", "b"});
  ASSERT_TRUE(merged.ok()) << merged.status().to_string();
  EXPECT_EQ(mds_index_text(*merged), slurp(kGolden + "/merged/index.json"));
}

// Elements of an array as they are stored.
template <class T>
std::string stored(const Json& values) {
  std::string out;
  for (const Json& v : values) {
    const T element = v.get<T>();
    out.append(reinterpret_cast<const char*>(&element), sizeof element);
  }
  return out;
}

std::string stored_as(const std::string& dtype, const Json& values) {
  if (dtype == "int64") return stored<int64_t>(values);
  if (dtype == "uint8") return stored<uint8_t>(values);
  if (dtype == "uint16") return stored<uint16_t>(values);
  if (dtype == "float32") return stored<float>(values);
  EXPECT_EQ(dtype, "float16");
  std::string out;
  for (const Json& v : values) {
    const uint16_t half = float_to_fp16(v.get<float>());
    out.append(reinterpret_cast<const char*>(&half), sizeof half);
  }
  return out;
}

TEST_F(Mds, EveryEncodingThereAndBack) {
  const Json& types = expected_["types"];
  std::vector<std::pair<std::string, std::string>> names;
  for (const auto& [name, encoding] : types["columns"].items()) {
    names.emplace_back(name, encoding.get<std::string>());
  }
  const std::vector<MdsColumn> columns = *make_mds_columns(names);
  const TempDir folder;
  auto writer = MdsWriter::create(folder.path(), {.columns = names, .size_limit = {}});
  ASSERT_TRUE(writer.ok()) << writer.status().to_string();
  const std::vector<std::string> big = {"123456789012345678901234567890", "-7", "0"};
  for (size_t s = 0; s < 3; ++s) {
    const Json& sample = types["samples"][s];
    std::vector<MdsValue> values;
    std::vector<std::string> arrays;
    arrays.reserve(columns.size());
    for (const MdsColumn& column : columns) {
      const Json& value = sample[column.name];
      using Kind = MdsEncoding::Kind;
      const std::string& encoding = column.encoding_name;
      if (column.encoding.kind == Kind::ndarray) {
        const std::string dtype = value["dtype"].get<std::string>();
        arrays.push_back(stored_as(dtype, value["values"]));
        values.emplace_back(MdsArray{*parse_mds_encoding("ndarray:" + dtype)->dtype,
                                     value["shape"].get<std::vector<uint64_t>>(),
                                     std::as_bytes(std::span(arrays.back()))});
      } else if (column.encoding.kind == Kind::str_int) {
        values.emplace_back(big[s]);
      } else if (column.encoding.kind == Kind::json) {
        values.emplace_back(std::in_place_type<Json>, value);
      } else if (column.encoding.kind == Kind::bytes) {
        const std::string hex = value.get<std::string>();
        std::string bytes;
        for (size_t i = 0; i < hex.size(); i += 2) {
          bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
        }
        values.emplace_back(bytes);
      } else if (column.encoding.kind == Kind::str) {
        values.emplace_back(value.get<std::string>());
      } else if (encoding.find("float") != std::string::npos) {
        values.emplace_back(value.get<double>());
      } else if (encoding.starts_with("u")) {
        values.emplace_back(value.get<uint64_t>());
      } else {
        values.emplace_back(value.get<int64_t>());
      }
    }
    const Status status = writer->add(values);
    ASSERT_TRUE(status.ok()) << status.to_string();
    // What is stored reads as what was given; that the golden file holds it is seen below.
    for (size_t i = 0; i < columns.size(); ++i) {
      std::string bytes;
      ASSERT_TRUE(encode_mds(columns[i].encoding, values[i], &bytes).ok());
      const auto back = decode_mds(columns[i].encoding, std::as_bytes(std::span(bytes)));
      ASSERT_TRUE(back.ok()) << back.status().to_string();
      std::string again;
      ASSERT_TRUE(encode_mds(columns[i].encoding, *back, &again).ok());
      EXPECT_EQ(again, bytes) << columns[i].name;
      if (const double* number = std::get_if<double>(&values[i])) {
        EXPECT_EQ(std::get<double>(*back), *number) << columns[i].name;
      }
    }
  }
  ASSERT_TRUE(writer->finish().ok());
  expect_equal_files(folder.path(), kGolden + "/types", {"index.json", "shard.00000.mds"});
}

TEST(MdsWriter, AShardMayHaveExactlyTheLimitsSize) {
  const auto shards = [](uint64_t limit) {
    const TempDir folder;
    MdsWriterOptions options;
    options.columns = {{"id", "str"}};
    options.size_limit = limit;  // of three digits: it is part of the shard
    auto writer = MdsWriter::create(folder.path(), options);
    for (const char* id : {"a", "bb", "ccc"}) {
      EXPECT_TRUE(writer->add(std::vector<MdsValue>{std::string(id)}).ok());
    }
    EXPECT_TRUE(writer->finish().ok());
    return writer->shards();
  };
  const auto all = shards(999);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(shards(all[0].raw.bytes).size(), 1u);
  EXPECT_EQ(shards(all[0].raw.bytes - 1).size(), 2u);
  EXPECT_EQ(shards(100).size(), 3u) << "a sample alone may be larger than the limit";
}

TEST(MdsWriter, RefusesWhatDoesNotFit) {
  const auto refuses = [](const char* encoding, MdsValue value) {
    std::string out;
    return encode_mds(*parse_mds_encoding(encoding), value, &out).code() ==
           StatusCode::invalid_argument;
  };
  const std::string eight(8, 'x');
  const auto array = [&](std::vector<uint64_t> shape) {
    return MdsArray{MdsDtype::u32, std::move(shape), std::as_bytes(std::span(eight))};
  };
  EXPECT_TRUE(refuses("uint8", uint64_t{256}));
  EXPECT_TRUE(refuses("int8", int64_t{-129}));
  EXPECT_FALSE(refuses("int8", int64_t{-128}));
  EXPECT_TRUE(refuses("int16", int64_t{32768}));
  EXPECT_TRUE(refuses("str", std::string("\xff")));
  EXPECT_FALSE(refuses("bytes", std::string("\xff")));
  EXPECT_TRUE(refuses("str_int", std::string("1.5")));
  EXPECT_FALSE(refuses("str_decimal", std::string("-1.50e+3")));
  EXPECT_TRUE(refuses("str_decimal", std::string(".")));
  EXPECT_FALSE(refuses("ndarray:uint32", array({2})));
  EXPECT_TRUE(refuses("ndarray:uint32", array({3})));
  EXPECT_TRUE(refuses("ndarray:uint32", array({})));
  EXPECT_TRUE(refuses("ndarray:int32", array({2})));
  EXPECT_TRUE(refuses("ndarray:uint32:1,2", array({2, 1})));
  EXPECT_TRUE(refuses("ndarray", MdsArray{MdsDtype::u32, {0}, {}}));
  EXPECT_EQ(MdsWriter::create(".", {.columns = {{"a", "pkl"}}}).status().code(),
            StatusCode::unsupported);
  EXPECT_FALSE(MdsWriter::create(".", {.columns = {{"a", "str"}, {"a", "str"}}}).ok());
  EXPECT_FALSE(MdsWriter::create(".", {.columns = {{"a", "str"}}, .hashes = {"crc"}}).ok());
}

}  // namespace
}  // namespace ettin
