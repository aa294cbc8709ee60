// Number formats of matrices: what a weight's elements are rounded to, and with them the rows that
// are multiplied by it. One table, looked up by enum or by name.
//
//   format  element                              rows are rounded to         bits per weight
//   fp64    double                               -                           64
//   fp32    float                                -                           32
//   bf16    8 bits of significand                bf16                        16
//   q8      scale[row] * integer in +-127        scale * integer in +-127    8
//           of the rotated row                   of the rotated row
//   q4      scale[row][block of 32] * +-8 .. 7   scale * integer in +-127    4.5
//
// Two more are only ever computed as a file of another tool stores them (ONNX):
//
//   int8         scale[row] * (byte - zero[row])    scale * (integer in 0..255     8
//                                                   - zero)
//   weight-only  (integer of 4 or 8 bits - zero)    -                              about 5 or 9
//                * scale, both of a row's block
//
// q8 and q4 round every row of activations with a scale of its own (dynamic, per token), so a
// result never depends on the rest of the batch. Integer products are summed exactly. The rounding
// itself is defined in tensor/quantize.h, the rotation, which leaves products as they are, in
// tensor/hadamard.h. With exact activations the rows stay fp32.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ettin {

enum class WeightFormat : uint8_t { f64, f32, bf16, q8, q4, int8, weight_only };

// Of weight-only matrices: input features that share a scale, and the width of their integers.
struct WeightBlocks {
  int32_t bits = 0;    // 4 or 8
  int64_t size = 0;    // in_features where a row has one scale
  bool zeros = false;  // each block has a zero of its own; otherwise it is `zero`
  float zero = 0;      // the unsigned integer that stands for 0

  friend bool operator==(const WeightBlocks&, const WeightBlocks&) = default;
};

std::string_view format_name(WeightFormat format);  // as --dtype spells it: "fp32", "q8", ...
// Accepts the alias "int8" for q8.
std::optional<WeightFormat> format_from_name(std::string_view name);
double bits_per_weight(WeightFormat format);

}  // namespace ettin
