// A matrix as a file holds it: floating elements, or the integers and scales of q8 or q4.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/quantize.h"
#include "tensor/stored_tensor.h"
#include "tensor/weight_format.h"

namespace ettin {

//   format      values                            scales
//   floating    fp64, fp32, fp16, bf16 [out, in]  none
//   q8          int8 [out, in], rotated           fp32 [out]
//   q4          uint8 [out, (in + 1) / 2]: two    fp16 [out, (in + 31) / 32]
//               nibbles a byte, the lower first
// Rotated: as tensor/hadamard.h says, before rounding.
// Precondition of every function below: the shapes fit each other as the table says.
struct StoredMatrix {
  const StoredTensor* values = nullptr;
  const StoredTensor* scales = nullptr;
  int64_t in_features = 0;

  StoredMatrix() = default;
  StoredMatrix(const StoredTensor* floating);  // NOLINT: a floating tensor is a matrix
  StoredMatrix(const StoredTensor* integers, const StoredTensor* their_scales, int64_t in);

  int64_t out_features() const { return static_cast<int64_t>(values->shape[0]); }
  // In q8 or q4, by the rules of tensor/quantize.h.
  bool quantized() const { return scales != nullptr; }
  // Integers in any form, those of other tools too.
  bool stored_integers() const { return quantized() || !dtype_info(values->dtype).floating; }
  // Of a quantised matrix: q8 or q4. Of other integers: int8 where rows of activations are rounded
  // and a row has one scale, else weight-only. Of a floating one: bf16 if stored so, else fp32.
  WeightFormat format() const;
};

// Row `row`, widened, multiplied by its scales, not rotated. out has in_features elements.
void read_row(const StoredMatrix& matrix, int64_t row, std::span<float> out);
void read_row(const StoredMatrix& matrix, int64_t row, std::span<double> out);

// Row `row` of matrices stacked on each other.
void read_row(std::span<const StoredMatrix> blocks, int64_t row, std::span<double> out);

// Row `row` as q8: as stored, or rotated and rounded by the rule of tensor/quantize.h. Returns its
// scale.
// Precondition: the matrix is floating or q8.
float read_row_q8(const StoredMatrix& matrix, int64_t row, std::span<int8_t> out);

// Row `row` as q4, one nibble per byte, scales as fp16 bits. Precondition: floating or q4.
void read_row_q4(const StoredMatrix& matrix, int64_t row, std::span<uint8_t> nibbles,
                 std::span<uint16_t> scales);

// Row `row` as int8: bytes that stand for (byte - zero) * scale. As stored; of a floating row,
// levels of quantize_q8 plus 128, not rotated.
ByteScale read_row_bytes(const StoredMatrix& matrix, int64_t row, std::span<uint8_t> out);

// How the matrix is cut into blocks as weight-only: as stored, else 4 bits in blocks of 32.
WeightBlocks weight_blocks(const StoredMatrix& matrix);

// Row `row` as weight-only: unsigned integers, one per byte, and for each block the scale and the
// integer that stands for 0. As stored; of a floating row by quantize_q4.
void read_row_blocks(const StoredMatrix& matrix, int64_t row, std::span<uint8_t> levels,
                     std::span<float> scales, std::span<float> zeros);

}  // namespace ettin
