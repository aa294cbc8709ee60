#include "formats/onnx_writer.h"

#include <map>

#include <gtest/gtest.h>

#include "formats/onnx.pb.h"
#include "formats/test_support.h"

namespace ettin {
namespace {

using test::slurp;
using test::TempDir;

onnx::ModelProto read_model(const std::string& path) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(slurp(path)));
  return model;
}

std::map<std::string, std::string> place(const onnx::TensorProto& tensor) {
  std::map<std::string, std::string> entries;
  for (const auto& e : tensor.external_data()) entries[e.key()] = e.value();
  return entries;
}

Status add_tensor(OnnxWriter* writer, const std::string& name, size_t bytes) {
  ETTIN_RETURN_IF_ERROR(
      writer->begin_tensor(name, OnnxType::u8, std::array{static_cast<int64_t>(bytes)}));
  const std::string contents(bytes, name[0]);
  const size_t half = bytes / 2;  // in two pieces
  ETTIN_RETURN_IF_ERROR(writer->append(test::bytes_of(contents).first(half)));
  return writer->append(test::bytes_of(contents).subspan(half));
}

TEST(OnnxWriter, TensorsLieAlignedInTheFileBeside) {
  const TempDir dir;
  const std::string path = dir.path() + "/model_q4.onnx";
  auto writer = OnnxWriter::create(path);
  ASSERT_TRUE(writer.ok());
  const std::map<std::string, size_t> sizes = {{"a", 3}, {"b", (1 << 20) + 7}, {"c", 100}};
  for (const auto& [name, size] : sizes) ASSERT_TRUE(add_tensor(&*writer, name, size).ok());
  ASSERT_TRUE(writer->commit().ok());
  EXPECT_EQ(writer->parts(), 1);

  const std::string data = slurp(path + "_data");
  const onnx::ModelProto model = read_model(path);
  ASSERT_EQ(model.graph().initializer_size(), 3);
  for (const auto& tensor : model.graph().initializer()) {
    EXPECT_EQ(tensor.data_location(), onnx::TensorProto::EXTERNAL);
    auto entries = place(tensor);
    EXPECT_EQ(entries["location"], "model_q4.onnx_data");
    const size_t size = sizes.at(tensor.name()), offset = std::stoull(entries["offset"]);
    EXPECT_EQ(entries["length"], std::to_string(size));
    EXPECT_EQ(offset % (tensor.name() == "b" ? 4096 : 64), 0u) << tensor.name();
    // Catches padding that is written in the wrong place.
    EXPECT_EQ(data.substr(offset, size), std::string(size, tensor.name()[0]));
  }
}

TEST(OnnxWriter, DataIsCutIntoParts) {
  const TempDir dir;
  const std::string path = dir.path() + "/m.onnx";
  auto writer = OnnxWriter::create(path, 1000);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(add_tensor(&*writer, "a", 900).ok());
  ASSERT_TRUE(add_tensor(&*writer, "b", 200).ok());   // would end at 1160
  ASSERT_TRUE(add_tensor(&*writer, "c", 5000).ok());  // larger than a part: one of its own
  ASSERT_TRUE(writer->commit().ok());
  EXPECT_EQ(writer->parts(), 3);
  EXPECT_EQ(slurp(path + "_data"), std::string(900, 'a'));
  EXPECT_EQ(slurp(path + "_data_1"), std::string(200, 'b'));
  EXPECT_EQ(slurp(path + "_data_2"), std::string(5000, 'c'));
  const onnx::ModelProto model = read_model(path);
  EXPECT_EQ(place(model.graph().initializer(1))["location"], "m.onnx_data_1");
  EXPECT_EQ(place(model.graph().initializer(1))["offset"], "0");
}

TEST(OnnxWriter, Graph) {
  const TempDir dir;
  const std::string path = dir.path() + "/m.onnx";
  for (const bool microsoft : {false, true}) {
    auto writer = OnnxWriter::create(path);
    ASSERT_TRUE(writer.ok());
    writer->input("x", OnnxType::f32, {"batch_size", int64_t{4}});
    writer->input("n", OnnxType::i64, {});
    const float half = 0.5F;
    writer->constant("half", OnnxType::f32, {}, std::as_bytes(std::span(&half, 1)));
    writer->node("Clip", kOnnxDomain, {"x", "", "half"}, {"y"});
    writer->node("Gelu", microsoft ? kMicrosoftDomain : kOnnxDomain, {"y"}, {"z"},
                 {{"axis", int64_t{-1}}, {"epsilon", 0.25}, {"perm", std::vector<int64_t>{1, 0}}});
    writer->output("z", OnnxType::f32, {"batch_size", int64_t{4}});
    ASSERT_TRUE(writer->commit().ok());

    const onnx::ModelProto model = read_model(path);
    EXPECT_EQ(model.ir_version(), 8);
    ASSERT_EQ(model.opset_import_size(), microsoft ? 2 : 1);  // only what is used
    EXPECT_EQ(model.opset_import(0).version(), 17);
    const onnx::GraphProto& graph = model.graph();
    const auto& x = graph.input(0).type().tensor_type();
    EXPECT_EQ(x.elem_type(), 1);
    EXPECT_EQ(x.shape().dim(0).dim_param(), "batch_size");
    EXPECT_EQ(x.shape().dim(1).dim_value(), 4);
    // A scalar has a shape, with no dimension in it; without one its rank would be open.
    EXPECT_TRUE(graph.input(1).type().tensor_type().has_shape());
    EXPECT_EQ(graph.initializer(0).dims_size(), 0);
    EXPECT_EQ(graph.initializer(0).raw_data(), std::string("\0\0\0\x3f", 4));
    EXPECT_EQ(graph.node(0).input(1), "");
    const onnx::NodeProto& gelu = graph.node(1);
    EXPECT_EQ(gelu.attribute(0).i(), -1);
    EXPECT_EQ(gelu.attribute(1).f(), 0.25F);
    EXPECT_EQ(gelu.attribute(2).ints_size(), 2);
  }
}

TEST(OnnxWriter, NothingIsThereWithoutCommit) {
  const TempDir dir;
  {
    auto writer = OnnxWriter::create(dir.path() + "/m.onnx");
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(add_tensor(&*writer, "a", 10).ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  EXPECT_FALSE(OnnxWriter::create(dir.path() + "/no/m.onnx").ok());
}

}  // namespace
}  // namespace ettin
