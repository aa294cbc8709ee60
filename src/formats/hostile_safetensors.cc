// Safetensors files and shard indexes that must be refused.
#include "formats/test_support.h"

namespace ettin::test {
namespace {

constexpr const char* kFile = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

HostileCase file_case(std::string name, std::string words, std::string contents) {
  return {"safetensors " + std::move(name),
          Reader::weights,
          kFile,
          std::move(words),
          {{kFile, std::move(contents)}}};
}
HostileCase header_case(std::string name, std::string words, std::string_view header,
                        size_t data = 4) {
  return file_case(std::move(name), std::move(words), safetensors_bytes(header, data));
}
// One tensor "w" with these three members.
HostileCase tensor_case(std::string name, std::string words, const std::string& members,
                        size_t data = 4) {
  return header_case(std::move(name), std::move(words), "{\"w\":{" + members + "}}", data);
}
HostileCase index_case(std::string name, std::string words, std::string index,
                       std::string file = kIndex) {
  return {"index " + std::move(name),
          Reader::weights,
          std::move(file),
          std::move(words),
          {{kIndex, std::move(index)},
           {"one.safetensors", good_safetensors()},
           {"two.safetensors",
            safetensors_bytes(R"({"c":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1)}}};
}

std::string length_only(uint64_t length) { return little_endian(length, 8) + "{}"; }

}  // namespace

std::vector<HostileCase> hostile_safetensors() {
  const std::string f = R"("dtype":"F32",)";
  const std::string s = R"("shape":[1],)";
  const std::string o = R"("data_offsets":[0,4])";
  return {
      file_case("empty file", "too few", ""),
      file_case("seven bytes", "too few", "1234567"),
      file_case("length 0", "does not start", little_endian(0, 8)),
      file_case("length of all ones", "the limit is", length_only(~uint64_t{0})),
      file_case("length 2^63", "the limit is", length_only(uint64_t{1} << 63)),
      file_case("length 100000001", "the limit is", length_only(100'000'001)),
      file_case("length 16777217", "the limit is", length_only(16'777'217)),
      file_case("length 16777216 in 10 bytes", "in a file of 10 bytes", length_only(16'777'216)),
      file_case("length one too long", "in a file of", length_only(3)),
      file_case("length one too short", "does not end", little_endian(1, 8) + "{}"),
      file_case("html", "the limit is", "<!DOCTYPE html><html></html>"),
      file_case("git-lfs pointer", "the limit is", "version https://git-lfs.github.com/spec/v1\n"),
      header_case("leading space", "does not start", " {}", 0),
      header_case("leading byte order mark", "does not start", "\xef\xbb\xbf{}", 0),
      header_case("array", "does not start", "[]", 0),
      header_case("trailing newline", "does not end", "{}\n", 0),
      header_case("trailing NUL", "does not end", std::string_view("{}\0", 3), 0),
      header_case("two objects", "not valid JSON", "{}{}", 0),
      header_case("cut object", "not valid JSON", R"({"w":{})", 0),
      header_case("single quotes", "not valid JSON", "{'w':1}", 0),
      header_case("trailing comma", "not valid JSON", R"({"__metadata__":{},})", 0),
      header_case("comment", "not valid JSON", "{/*x*/}", 0),
      header_case("invalid UTF-8 name", "not valid JSON", "{\"\xff\":1}", 0),
      header_case("lone surrogate", "not valid JSON", R"({"\ud800":1})", 0),
      header_case("NUL inside", "NUL", std::string_view("{\"a\0\":1}", 8), 0),
      header_case("too deep", "nested deeper", R"({"w":{"shape":[[1]]}})", 0),
      header_case("ten thousand brackets", "nested deeper",
                  "{\"w\":" + std::string(10000, '[') + std::string(10000, ']') + "}", 0),
      header_case("duplicate tensor", "duplicate key \"w\"",
                  R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                  R"("w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})"),
      tensor_case("duplicate dtype", "duplicate key \"dtype\"", f + f + s + o),
      header_case("metadata not an object", "__metadata__", R"({"__metadata__":[]})", 0),
      header_case("metadata number", "__metadata__", R"({"__metadata__":{"a":1}})", 0),
      header_case("metadata object", "__metadata__", R"({"__metadata__":{"a":{}}})", 0),
      header_case("metadata null", "__metadata__", R"({"__metadata__":null})", 0),
      header_case("tensor is a number", "should be an object", R"({"w":1})"),
      header_case("tensor is null", "should be an object", R"({"w":null})"),
      header_case("empty name", "name is empty",
                  R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
      header_case("control character in a name", "control character",
                  R"({"a\u0001":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
      header_case("NUL escape in a name", "control character",
                  R"({"a\u0000":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
      header_case(
          "name of 513 bytes", "tensor name of 513",
          "{\"" + std::string(513, 'n') + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
      tensor_case("no dtype", "\"dtype\" is missing", s + o),
      tensor_case("dtype a number", "\"dtype\" should be", R"("dtype":3,)" + s + o),
      tensor_case("unknown dtype", "unknown dtype", R"("dtype":"F31",)" + s + o),
      tensor_case("lower-case dtype", "unknown dtype", R"("dtype":"f32",)" + s + o),
      tensor_case("foreign dtype", "has dtype F8_E4M3", R"("dtype":"F8_E4M3",)" + s + o),
      tensor_case("no shape", "\"shape\" is missing", f + o),
      tensor_case("shape a number", "\"shape\" should be", f + R"("shape":1,)" + o),
      tensor_case("shape null", "\"shape\" should be", f + R"("shape":null,)" + o),
      tensor_case("negative shape", "not a non-negative", f + R"("shape":[-1],)" + o),
      tensor_case("minus zero shape", "not a non-negative", f + R"("shape":[-0],)" + o),
      tensor_case("float shape", "not a non-negative", f + R"("shape":[1.0],)" + o),
      tensor_case("exponent shape", "not a non-negative", f + R"("shape":[1e0],)" + o),
      tensor_case("text shape", "not a non-negative", f + R"("shape":["1"],)" + o),
      tensor_case("shape of 65 bits", "64 bits", f + R"("shape":[18446744073709551616],)" + o),
      tensor_case("shape product wraps to 0", "overflows",
                  f + R"("shape":[4294967296,4294967296],)" + o),
      tensor_case("shape product wraps to 1", "overflows",
                  f + R"("shape":[6700417,2753074036095,641],)" + o),
      tensor_case("overflow behind a zero", "overflows",
                  f + R"("shape":[0,4294967296,4294967296,4294967296],)" + o),
      tensor_case("byte count wraps", "overflows", f + R"("shape":[4611686018427387905],)" + o),
      tensor_case("rank 9", "at most 8", f + R"("shape":[1,1,1,1,1,1,1,1,1],)" + o),
      tensor_case("exabyte", "needs", f + R"("shape":[1000000000000000000],)" + o),
      tensor_case("no offsets", "\"data_offsets\" is missing", f + R"("shape":[1])"),
      tensor_case("offsets a number", "\"data_offsets\" should be", f + s + R"("data_offsets":4)"),
      tensor_case("one offset", "not a pair", f + s + R"("data_offsets":[0])"),
      tensor_case("three offsets", "\"data_offsets\" has 3", f + s + R"("data_offsets":[0,4,8])"),
      tensor_case("offsets reversed", "leave the", f + s + R"("data_offsets":[4,0])"),
      tensor_case("offsets past the end", "leave the", f + s + R"("data_offsets":[4,8])"),
      tensor_case("end of 2^64-1", "leave the",
                  f + s + R"("data_offsets":[0,18446744073709551615])"),
      tensor_case("negative offset", "not a non-negative", f + s + R"("data_offsets":[-4,0])"),
      tensor_case("offsets one too few", "needs 4", f + s + R"("data_offsets":[0,3])", 3),
      tensor_case("offsets one too many", "needs 4", f + s + R"("data_offsets":[0,5])", 5),
      tensor_case("unknown member", "unknown key \"strides\"", f + s + R"("strides":[1],)" + o),
      tensor_case("hole at the start", "a hole", f + s + R"("data_offsets":[4,8])", 8),
      tensor_case("trailing data", "cover 4", f + s + o, 5),
      header_case("hole in the middle", "a hole",
                  R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                  R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                  3),
      header_case("overlap", "an overlap",
                  R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                  R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})"),
      header_case("two tensors on the same bytes", "an overlap",
                  R"({"k":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                  R"("v":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})"),
      header_case("data without tensors", "cover 0", "{}"),
  };
}

std::vector<HostileCase> hostile_indexes() {
  const std::string rest = R"(,"b":"one.safetensors","c":"two.safetensors"}})";
  const auto map = [&](const std::string& a) { return R"({"weight_map":{"a":")" + a + '"' + rest; };
  return {
      index_case("empty file", "not valid JSON", ""),
      index_case("array", "weight_map", "[]"),
      index_case("no map", "weight_map", "{}"),
      index_case("null map", "weight_map", R"({"weight_map":null})"),
      index_case("map a list", "weight_map", R"({"weight_map":["one.safetensors"]})"),
      index_case("empty map", "weight_map", R"({"weight_map":{}})"),
      index_case("file a number", "should be a string", R"({"weight_map":{"a":1}})"),
      index_case("file null", "should be a string", R"({"weight_map":{"a":null}})"),
      index_case("duplicate tensor", "duplicate key",
                 R"({"weight_map":{"a":"one.safetensors","a":"two.safetensors"}})"),
      index_case("parent folder", "refused file name", map("../one.safetensors")),
      index_case("absolute path", "refused file name", map("/etc/passwd")),
      index_case("folder inside", "refused file name", map("x/one.safetensors")),
      index_case("dot dot", "refused file name", map("..")),
      index_case("backslash", "refused file name", map(R"(..\\one.safetensors)")),
      index_case("empty name", "refused file name", map("")),
      index_case("escaped slash", "refused file name", map(R"(..\u002fone.safetensors)")),
      index_case("NUL in the name", "refused file name", map(R"(one\u0000.safetensors)")),
      index_case("space in the name", "refused file name", map("one .safetensors")),
      index_case("name of 201 characters", "refused file name", map(std::string(201, 'x'))),
      index_case("shard missing", "cannot open", map("three.safetensors"), "three.safetensors"),
      index_case("index as its own shard", "the limit is", map(kIndex)),
      index_case("tensor in another shard", "places it in two.safetensors", map("two.safetensors")),
      index_case("tensor that no shard has", "has no such tensor",
                 R"({"weight_map":{"z":"one.safetensors","a":"one.safetensors")" + rest),
      index_case("tensor that the index lacks", "does not name it",
                 R"({"weight_map":{"a":"one.safetensors","c":"two.safetensors"}})"),
      {"index to a broken shard",
       Reader::weights,
       "one.safetensors",
       "too few",
       {{kIndex, R"({"weight_map":{"a":"one.safetensors"}})"}, {"one.safetensors", "x"}}},
      {"index of a torch file to a pickle",
       Reader::weights,
       "one.bin",
       "before version 1.6",
       {{"pytorch_model.bin.index.json", R"({"weight_map":{"a":"one.bin"}})"},
        {"one.bin", "\x80\x02}."}}},
      {"the same tensor in two shards",
       Reader::weights,
       kIndex,
       "places it in one.safetensors",
       {{kIndex, R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors",)"
                 R"("c":"two.safetensors"}})"},
        {"one.safetensors", good_safetensors()},
        {"two.safetensors",
         safetensors_bytes(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1)}}},
      {"no weights at all", Reader::weights, "pytorch_model.bin.index.json", "no weights", {}},
  };
}

}  // namespace ettin::test
