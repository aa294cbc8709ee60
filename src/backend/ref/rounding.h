// What a number format does to a row, in T: the definition that fast backends are checked against.
#pragma once

#include <span>
#include <vector>

#include "base/half.h"
#include "tensor/hadamard.h"
#include "tensor/quantize.h"
#include "tensor/stored_matrix.h"

namespace ettin::ref {

template <class T>
void round_bytes(ByteScale scale, std::span<T> x) {
  const std::vector<float> narrow(x.begin(), x.end());
  std::vector<uint8_t> bytes(x.size());
  quantize_bytes(narrow, scale, bytes);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<T>(bytes[i] - scale.zero) * static_cast<T>(scale.scale);
  }
}

// A row of activations as the format multiplies it. The rounding itself happens in float, as in
// every backend: T = double only sums without error. Rows and weights of q8 are turned back after
// they are rounded, which changes no product.
template <class T>
void round_row(WeightFormat format, std::span<T> x) {
  if (format == WeightFormat::f64 || format == WeightFormat::f32) return;
  if (format == WeightFormat::bf16) {
    for (T& v : x) v = static_cast<T>(bf16_to_float(float_to_bf16(static_cast<float>(v))));
    return;
  }
  if (format == WeightFormat::weight_only) return;
  std::vector<float> narrow(x.begin(), x.end());
  if (format == WeightFormat::int8) {
    const auto [lo, hi] = range_with_zero(narrow);
    return round_bytes(byte_scale(lo, hi), x);
  }
  if (format == WeightFormat::q8) rotate_row(std::span(narrow));
  std::vector<int8_t> levels(x.size());
  const T scale = static_cast<T>(quantize_q8(narrow, levels));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(levels[i]) * scale;
  if (format == WeightFormat::q8) rotate_row(x);
}

// Row `row` of a matrix, rounded to the format.
template <class T>
void read_rounded(const StoredMatrix& matrix, int64_t row, WeightFormat format, std::span<T> out) {
  if (format == WeightFormat::q8) {
    std::vector<int8_t> levels(out.size());
    const T scale = static_cast<T>(read_row_q8(matrix, row, levels));
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(levels[i]) * scale;
    rotate_row(out);
  } else if (format == WeightFormat::q4) {
    std::vector<uint8_t> nibbles(out.size());
    std::vector<uint16_t> scales(static_cast<size_t>(q4_blocks(matrix.in_features)));
    read_row_q4(matrix, row, nibbles, scales);
    for (size_t i = 0; i < out.size(); ++i) {
      const float scale = fp16_to_float(scales[i / kQ4Block]);
      out[i] = static_cast<T>(nibbles[i] - kQ4Zero) * static_cast<T>(scale);
    }
  } else if (format == WeightFormat::int8) {
    std::vector<uint8_t> bytes(out.size());
    const ByteScale scale = read_row_bytes(matrix, row, bytes);
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<T>(bytes[i] - scale.zero) * static_cast<T>(scale.scale);
    }
  } else if (format == WeightFormat::weight_only) {
    const WeightBlocks blocks = weight_blocks(matrix);
    const auto count = static_cast<size_t>((matrix.in_features + blocks.size - 1) / blocks.size);
    std::vector<uint8_t> levels(out.size());
    std::vector<float> scales(count), zeros(count);
    read_row_blocks(matrix, row, levels, scales, zeros);
    for (size_t i = 0; i < out.size(); ++i) {
      const size_t b = i / static_cast<size_t>(blocks.size);
      out[i] = (static_cast<T>(levels[i]) - static_cast<T>(zeros[b])) * static_cast<T>(scales[b]);
    }
  } else {
    read_row(matrix, row, out);
    round_row(format, out);
  }
}

}  // namespace ettin::ref
