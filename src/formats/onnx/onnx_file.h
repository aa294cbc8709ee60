// An ONNX file as it is: nodes, initialisers, inputs and outputs of its graph. Field numbers are
// those of onnx.proto (github.com/onnx/onnx). Strings and weights are views of mapped files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/onnx/wire.h"

namespace ettin::onnx {

// TensorProto.DataType: those that are read.
enum class Type : uint8_t {
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  boolean = 9,
  f16 = 10,
  f64 = 11,
  u32 = 12,
  u64 = 13,
  bf16 = 16,
  u4 = 21,
  i4 = 22,
};
int64_t type_bits(Type type);
std::string_view type_name(Type type);

struct Tensor {
  std::string_view name;
  Type type = Type::f32;
  std::vector<int64_t> dims;
  Bytes data;  // exactly what the dims need, little-endian

  int64_t element_count() const;
};

struct Attribute {
  std::string_view name;
  int64_t i = 0;
  float f = 0;
  std::string_view s;
  std::shared_ptr<const Tensor> t;
  std::vector<int64_t> ints;
  std::vector<float> floats;
};

struct Node {
  std::string_view op, domain, name;  // domain "" is ai.onnx
  std::vector<std::string_view> inputs, outputs;
  std::vector<Attribute> attributes;

  const Attribute* find(std::string_view attribute) const;
  int64_t integer(std::string_view attribute, int64_t otherwise) const;
  float number(std::string_view attribute, float otherwise) const;
  std::string_view input(size_t i) const { return i < inputs.size() ? inputs[i] : ""; }
  // "com.microsoft.Gelu"
  std::string full_op() const;
};

struct GraphInput {
  std::string_view name;
  std::vector<int64_t> dims;  // -1 where a symbol stands
};

struct OnnxFile {
  std::string path;
  int64_t ir_version = 0;
  int64_t opset = 0;                      // of ai.onnx
  std::vector<std::string_view> domains;  // of all operator sets; "" is ai.onnx
  std::string_view producer;
  std::vector<Node> nodes;
  std::vector<Tensor> initializers;
  std::vector<GraphInput> inputs;
  std::vector<std::string_view> outputs;
  std::vector<std::string> files;                   // the file, then its external data
  std::vector<Bytes> maps;                          // all of each
  std::vector<std::shared_ptr<const void>> owners;  // of everything that is viewed
};

// Maps the file and the files that its tensors name, which must lie beside it. Every length is
// checked against the bytes that are there before it is used.
Result<OnnxFile> read_onnx_file(const std::string& path);

}  // namespace ettin::onnx
