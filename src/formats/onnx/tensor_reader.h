// TensorProto: the elements of one tensor, in the file, in typed fields, or in a file beside it.
#pragma once

#include <map>
#include <optional>

#include "formats/onnx/onnx_file.h"

namespace ettin::onnx {

struct ExternalData {
  std::string_view location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};

class TensorReader {
 public:
  // Data files are mapped once, and kept by `file`.
  explicit TensorReader(OnnxFile* file) : out_(*file) {}

  Status read(Bytes message, Tensor* out);

 private:
  // Finds the elements and checks that there are as many as the dims say.
  Status fill(int64_t type, const std::optional<Bytes>& raw, std::span<const WireField> typed,
              const ExternalData* external, Tensor* out);
  Result<Bytes> external_data(const ExternalData& external, uint64_t needed);
  Result<Bytes> data_file(std::string_view location);
  // float_data, int32_data, int64_data, double_data, uint64_data: packed or one by one. 16-bit
  // floats are bit patterns in int32_data; 4-bit integers come two to a number.
  Status typed_data(std::span<const WireField> fields, uint64_t count, Tensor* out);

  OnnxFile& out_;
  std::map<std::string_view, Bytes> data_files_;
};

}  // namespace ettin::onnx
