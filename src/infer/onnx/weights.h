// Matrices and vectors of a model folder as tensors of an ONNX file, in every number format, row by
// row or in strips: never a whole model in memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/onnx_writer.h"
#include "tensor/stored_matrix.h"

namespace ettin {

// Rows [first, first + rows) of matrices stacked on each other.
struct MatrixRows {
  std::span<const StoredMatrix> blocks;
  int64_t first = 0, rows = 0;

  int64_t cols() const { return blocks[0].in_features; }
};

class OnnxWeights {
 public:
  // `where` names the model in messages.
  OnnxWeights(OnnxWriter* writer, std::string_view where) : writer_(*writer), where_(where) {}

  // NAME [rows, cols], type f32 or f16.
  Status rows(const std::string& name, const MatrixRows& m, OnnxType type);
  // NAME [cols, rows], what MatMul multiplies with.
  Status transposed(const std::string& name, const MatrixRows& m, OnnxType type);
  // NAME_quantized [cols, rows] int8 and NAME_scale [rows] f32, one for each column. Levels are in
  // [-64, 64]: pairs of products of larger ones overflow 16 bits on machines without VNNI.
  Status q8_columns(const std::string& name, const MatrixRows& m);
  // NAME_quantized [rows, cols] int8 and NAME_scale, one for all. Levels are in [-127, 127].
  Status q8_rows(const std::string& name, const MatrixRows& m);
  // NAME_Q4 [rows, blocks, 16] and NAME_scales [rows, blocks], f32 or f16: what MatMulNBits reads,
  // the rule of tensor/quantize.h, or as stored. A last block that is not full ends with zeros.
  Status q4(const std::string& name, const MatrixRows& m, OnnxType scales);
  // NAME [count]: elements from `first` of tensors laid end to end.
  Status vector(const std::string& name, std::span<const StoredTensor* const> parts, int64_t first,
                int64_t count, OnnxType type);
  // NAME [shape]
  Status values(const std::string& name, std::span<const float> values,
                std::span<const int64_t> shape, OnnxType type);

 private:
  Status store(std::string_view name, float x, OnnxType type, std::byte* to) const;
  Status append(std::string_view name, std::span<const float> values, OnnxType type);
  template <class Narrow>
  Status write_strips(const std::string& name, const MatrixRows& m, OnnxType type, Narrow narrow);
  // The largest magnitude of each row; an error where one is not finite.
  Status largest(std::string_view name, const MatrixRows& m, std::vector<float>* out);

  OnnxWriter& writer_;
  std::string_view where_;
  std::vector<std::byte> bytes_;
};

}  // namespace ettin
