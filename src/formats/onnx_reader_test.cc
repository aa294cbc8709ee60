// ONNX files piece by piece: where elements may lie, and what constants are made of them.
#include <bit>
#include <cstring>

#include <gtest/gtest.h>

#include "base/test_files.h"
#include "formats/onnx/constant.h"
#include "formats/test_wire.h"

namespace ettin::onnx {
namespace {

using test::TempDir;
using test::WireWriter;

template <class T>
std::string raw(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

WireWriter tensor(std::string_view name, std::initializer_list<int64_t> dims, Type type) {
  WireWriter w;
  for (const int64_t d : dims) w.varint(1, static_cast<uint64_t>(d));
  w.varint(2, static_cast<uint64_t>(type));
  w.bytes(8, name);
  return w;
}

void external(WireWriter* w, std::string_view file, std::string_view offset,
              std::string_view length) {
  for (const auto& [key, value] :
       {std::pair{"location", file}, std::pair{"offset", offset}, std::pair{"length", length}}) {
    WireWriter entry;
    entry.bytes(1, key);
    entry.bytes(2, value);
    w->bytes(13, entry.text());
  }
  w->varint(14, 1);
}

std::string node(
    std::string_view op, std::initializer_list<std::string_view> inputs,
    std::initializer_list<std::string_view> outputs,
    std::initializer_list<std::pair<std::string_view, std::vector<int64_t>>> ints = {}) {
  WireWriter w;
  for (const auto input : inputs) w.bytes(1, input);
  for (const auto output : outputs) w.bytes(2, output);
  w.bytes(4, op);
  for (const auto& [name, values] : ints) {
    WireWriter a;
    a.bytes(1, name);
    if (values.size() == 1) a.varint(3, static_cast<uint64_t>(values[0]));
    for (const int64_t v : values) a.varint(8, static_cast<uint64_t>(v));
    w.bytes(5, a.text());
  }
  return w.text();
}

std::string model(const std::vector<std::string>& tensors, const std::vector<std::string>& nodes) {
  WireWriter graph, opset, whole;
  for (const std::string& t : tensors) graph.bytes(5, t);
  for (const std::string& n : nodes) graph.bytes(1, n);
  opset.varint(2, 21);
  whole.varint(1, 8);
  whole.bytes(7, graph.text());
  whole.bytes(8, opset.text());
  return whole.text();
}

class OnnxReader : public testing::Test {
 protected:
  Result<OnnxFile> read(const std::vector<std::string>& tensors,
                        const std::vector<std::string>& nodes = {}) {
    return read_onnx_file(dir_.write("m.onnx", model(tensors, nodes)));
  }

  // What is wrong with one tensor.
  std::string refused(const WireWriter& t) {
    const Result<OnnxFile> file = read({t.text()});
    return file.ok() ? "" : file.status().message();
  }

  // The matrix of constant `name`.
  std::vector<std::vector<float>> matrix(const OnnxFile& file, std::string_view name,
                                         bool transposed = false) {
    const Result<Graph> graph = Graph::build(file);
    EXPECT_TRUE(graph.ok()) << graph.status().to_string();
    Constants constants(*graph);
    const Constant* c = constants.find(name);
    if (c == nullptr) return {};
    const Result<AffineMatrix> m = as_matrix(*c, transposed);
    EXPECT_TRUE(m.ok()) << m.status().to_string();
    if (!m.ok()) return {};
    std::vector<std::vector<float>> rows;
    for (int64_t r = 0; r < m->rows; ++r) {
      read_row(*m, r, std::span(rows.emplace_back(static_cast<size_t>(m->columns))));
    }
    return rows;
  }

  TempDir dir_;
};

using Rows = std::vector<std::vector<float>>;

TEST_F(OnnxReader, ElementsInTypedFields) {
  WireWriter floats = tensor("floats", {2, 1}, Type::f32);
  floats.fixed32(4, std::bit_cast<uint32_t>(1.5f));  // one by one
  floats.fixed32(4, std::bit_cast<uint32_t>(-2.0f));
  WireWriter halves = tensor("halves", {1, 2}, Type::f16);
  halves.bytes(5, raw<uint8_t>({0x80, 0x78, 0x80, 0x80, 0x03}));  // 0x3c00, 0xc000 as varints
  WireWriter bytes = tensor("bytes", {1, 2}, Type::i8);
  bytes.varint(5, 7);
  bytes.varint(5, static_cast<uint64_t>(int64_t{-3}));
  const Result<OnnxFile> file = read({floats.text(), halves.text(), bytes.text()});
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(matrix(*file, "floats"), (Rows{{1.5f}, {-2}}));
  EXPECT_EQ(matrix(*file, "halves"), (Rows{{1, -2}}));
  EXPECT_EQ(static_cast<int8_t>(file->initializers[2].data[1]), -3);
}

TEST_F(OnnxReader, ExternalDataInSeveralFilesThatMayOverlap) {
  dir_.write("a.bin", "x" + raw<float>({1, 2, 3, 4}));
  dir_.write("b.bin", raw<float>({5, 6}));
  WireWriter a = tensor("a", {2, 2}, Type::f32), part = tensor("part", {1, 2}, Type::f32);
  WireWriter b = tensor("b", {2, 1}, Type::f32);
  external(&a, "a.bin", "1", "16");  // not aligned
  external(&part, "a.bin", "9", "8");
  external(&b, "b.bin", "0", "8");
  const Result<OnnxFile> file = read({a.text(), part.text(), b.text()});
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(file->files.size(), 3u);
  EXPECT_EQ(matrix(*file, "a", true), (Rows{{1, 3}, {2, 4}}));
  EXPECT_EQ(matrix(*file, "part"), (Rows{{3, 4}}));
  EXPECT_EQ(matrix(*file, "b"), (Rows{{5}, {6}}));
}

TEST_F(OnnxReader, WhatDoesNotFitIsRefused) {
  WireWriter twice = tensor("t", {1}, Type::f32);
  twice.bytes(9, raw<float>({1}));
  twice.fixed32(4, 0);
  EXPECT_NE(refused(twice).find("holds its elements twice"), std::string::npos);
  WireWriter wrong = tensor("t", {1}, Type::i64);
  wrong.fixed32(4, 0);
  EXPECT_NE(refused(wrong).find("are not int64"), std::string::npos);
  WireWriter many = tensor("t", {1}, Type::i32);
  many.bytes(5, raw<uint8_t>({1, 2}));
  EXPECT_NE(refused(many).find("its dimensions need 4"), std::string::npos);
  for (const char* name : {"/etc/passwd", "../a", "C:\\a", "sub/a", "", ".."}) {
    WireWriter outside = tensor("t", {1}, Type::f32);
    external(&outside, name, "0", "4");
    EXPECT_NE(refused(outside).find("refused file name"), std::string::npos) << name;
  }
  for (const char* offset : {"-1", "9223372036854775808", "1 ", "0x10", ""}) {
    dir_.write("d", raw<float>({1}));
    WireWriter odd = tensor("t", {1}, Type::f32);
    external(&odd, "d", offset, "4");
    EXPECT_NE(refused(odd).find("is no size"), std::string::npos) << offset;
  }
}

TEST_F(OnnxReader, ConstantsAreFoldedWithoutACopy) {
  WireWriter w = tensor("w", {2, 4}, Type::f32), shape = tensor("shape", {2}, Type::i64);
  w.bytes(9, raw<float>({0, 1, 2, 3, 4, 5, 6, 7}));
  shape.bytes(9, raw<int64_t>({4, -1}));
  WireWriter one = tensor("one", {1}, Type::i64), three = tensor("three", {1}, Type::i64);
  one.bytes(9, raw<int64_t>({1}));
  three.bytes(9, raw<int64_t>({3}));
  const Result<OnnxFile> file =
      read({w.text(), shape.text(), one.text(), three.text()},
           {node("Transpose", {"w"}, {"turned"}, {{"perm", {1, 0}}}),
            node("Slice", {"turned", "one", "three", "axes0"}, {"lost"}),
            node("Identity", {"turned"}, {"same"}), node("Reshape", {"w", "shape"}, {"four"}),
            node("Reshape", {"turned", "shape"}, {"scattered"}),
            node("Slice", {"w", "one", "three", "one"}, {"middle"}),
            node("Split", {"w"}, {"left", "right"}, {{"axis", {1}}})});
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_FALSE(Graph::build(*file).ok());  // "axes0" comes from nowhere
  OnnxFile mended = *file;
  mended.nodes[1].inputs[3] = "";
  EXPECT_EQ(matrix(mended, "same"), (Rows{{0, 4}, {1, 5}, {2, 6}, {3, 7}}));
  EXPECT_EQ(matrix(mended, "lost"), (Rows{{1, 5}, {2, 6}}));
  EXPECT_EQ(matrix(mended, "four"), (Rows{{0, 1}, {2, 3}, {4, 5}, {6, 7}}));
  EXPECT_EQ(matrix(mended, "scattered"), Rows());  // would need a copy: not a constant
  EXPECT_EQ(matrix(mended, "middle"), (Rows{{1, 2}, {5, 6}}));
  EXPECT_EQ(matrix(mended, "right", true), (Rows{{2, 6}, {3, 7}}));
}

TEST_F(OnnxReader, CutAtEveryByteItIsRefused) {
  WireWriter w = tensor("w", {4, 8}, Type::f32), typed = tensor("typed", {3}, Type::i64);
  w.bytes(9, std::string(128, 'x'));
  typed.bytes(7, raw<uint8_t>({1, 2, 3}));
  const std::string whole = model({w.text(), typed.text()},
                                  {node("Transpose", {"w"}, {"turned"}, {{"perm", {1, 0}}}),
                                   node("Split", {"turned"}, {"left", "right"}, {{"axis", {1}}})});
  const auto readable = [&](std::string_view bytes) {
    return read_onnx_file(dir_.write("m.onnx", bytes)).ok();
  };
  ASSERT_TRUE(readable(whole));
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(readable(std::string_view(whole).substr(0, n))) << n << " of " << whole.size();
  }
}

// Each takes next to no time, whatever it claims.
TEST_F(OnnxReader, CrowdedNodesAreRefused) {
  WireWriter crowded;
  for (int i = 0; i < 2000; ++i) crowded.bytes(1, "w");
  crowded.bytes(2, "y");
  crowded.bytes(4, "Concat");
  WireWriter w = tensor("w", {1}, Type::f32);
  w.bytes(9, raw<float>({1}));
  const Result<OnnxFile> file = read({w.text()}, {crowded.text()});
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.status().message().find("more than 1000 inputs"), std::string::npos);
  std::vector<int64_t> axes(200'000);
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
  const Result<OnnxFile> many =
      read({w.text()}, {node("Unsqueeze", {"w"}, {"y"}, {{"axes", axes}})});
  ASSERT_TRUE(many.ok()) << many.status().to_string();
  const Result<Graph> graph = Graph::build(*many);
  ASSERT_TRUE(graph.ok());
  EXPECT_EQ(Constants(*graph).find("y"), nullptr);
}

TEST_F(OnnxReader, ZeroPointsOfAnotherTypeAreRefused) {
  WireWriter q = tensor("q", {1, 2}, Type::i8), s = tensor("s", {}, Type::f32);
  WireWriter z = tensor("z", {}, Type::u8);
  q.bytes(9, raw<int8_t>({1, 2}));
  s.bytes(9, raw<float>({1}));
  z.bytes(9, raw<uint8_t>({255}));
  const Result<OnnxFile> file =
      read({q.text(), s.text(), z.text()}, {node("DequantizeLinear", {"q", "s", "z"}, {"y"})});
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  const Result<Graph> graph = Graph::build(*file);
  ASSERT_TRUE(graph.ok());
  Constants constants(*graph);
  const Constant* y = constants.find("y");
  ASSERT_NE(y, nullptr);
  EXPECT_FALSE(as_matrix(*y, false).ok());
}

TEST_F(OnnxReader, DequantizeLinear) {
  WireWriter q = tensor("q", {2, 4}, Type::i4), s = tensor("s", {2, 2}, Type::f32);
  q.bytes(9, raw<uint8_t>({0x21, 0x43, 0xf0, 0x8e}));  // 1 2 3 4, 0 -1 -2 -8
  s.bytes(9, raw<float>({1, 10, 2, 0.5f}));
  WireWriter u = tensor("u", {2, 2}, Type::u8), us = tensor("us", {2}, Type::f32);
  WireWriter uz = tensor("uz", {2}, Type::u8);
  u.bytes(9, raw<uint8_t>({0, 255, 128, 7}));
  us.bytes(9, raw<float>({1, 0.5f}));
  uz.bytes(9, raw<uint8_t>({128, 7}));
  const Result<OnnxFile> file =
      read({q.text(), s.text(), u.text(), us.text(), uz.text()},
           {node("DequantizeLinear", {"q", "s"}, {"blocks"}, {{"axis", {1}}, {"block_size", {2}}}),
            node("Transpose", {"blocks"}, {"turned"}, {{"perm", {1, 0}}}),
            node("DequantizeLinear", {"u", "us", "uz"}, {"columns"}, {{"axis", {1}}}),
            node("DequantizeLinear", {"u", "us", "uz"}, {"rows"}, {{"axis", {0}}})});
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(matrix(*file, "blocks"), (Rows{{1, 2, 30, 40}, {0, -2, -1, -4}}));
  EXPECT_EQ(matrix(*file, "turned", true), matrix(*file, "blocks"));
  EXPECT_EQ(matrix(*file, "columns"), (Rows{{-128, 124}, {0, 0}}));
  EXPECT_EQ(matrix(*file, "rows"), (Rows{{-128, 127}, {60.5f, 0}}));
}

}  // namespace
}  // namespace ettin::onnx
