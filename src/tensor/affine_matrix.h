// A matrix that a file holds in another way than row after row of floating numbers: transposed, a
// part of a larger one, or integers with scales. The forms that ONNX graphs store weights in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ettin {

// i4 and u4: two numbers a byte, the first in the lower half.
enum class NumberKind : uint8_t { f64, f32, bf16, f16, i8, u8, i4, u4 };

constexpr int64_t number_bits(NumberKind kind) {
  constexpr int64_t kBits[] = {64, 32, 16, 16, 8, 8, 4, 4};
  return kBits[static_cast<size_t>(kind)];
}
constexpr bool is_integer(NumberKind kind) { return kind >= NumberKind::i8; }

// Numbers at regular distances: (row, column) is number first + row * row_stride + column *
// column_stride of `bytes`, which may be unaligned.
struct NumberGrid {
  std::span<const std::byte> bytes;
  NumberKind kind = NumberKind::f32;
  int64_t first = 0;
  int64_t row_stride = 0;
  int64_t column_stride = 0;

  // That no number of so many rows and columns lies outside of `bytes`.
  bool holds(int64_t rows, int64_t columns) const;
  double at(int64_t row, int64_t column) const;
  // The numbers (row, 0), (row, 1), ...; each exact in the output type where that can hold it.
  void read_row(int64_t row, std::span<float> out) const;
  void read_row(int64_t row, std::span<double> out) const;
};

// Element (row, column) is (value - zero) * scale, with the zero and the scale of (row, column /
// block); the difference is exact. Floating values have neither.
struct AffineMatrix {
  int64_t rows = 0;
  int64_t columns = 0;
  NumberGrid values;
  NumberGrid scales;  // no bytes: 1
  NumberGrid zeros;   // no bytes: `zero`
  double zero = 0;
  int64_t block = 0;  // columns that share a scale; `columns` when all of a row do
  // The graph multiplies integers by integers: rows of activations are rounded to 8 bits (ONNX
  // DynamicQuantizeLinear). Otherwise the weights are expanded and multiplied by the rows as they
  // are.
  bool rounds_activations = false;

  bool quantized() const { return is_integer(values.kind); }
  int64_t blocks() const { return block == 0 ? 0 : (columns + block - 1) / block; }
  bool holds() const;  // all that is read lies inside of the bytes
  // One scale and one zero for each whole row.
  bool one_block() const { return blocks() <= 1; }
  double zero_at(int64_t row, int64_t b) const {
    return zeros.bytes.empty() ? zero : zeros.at(row, b);
  }
  double scale_at(int64_t row, int64_t b) const {
    return scales.bytes.empty() ? 1 : scales.at(row, b);
  }
};

// Row `row` as numbers. In float the product is rounded once.
void read_row(const AffineMatrix& matrix, int64_t row, std::span<float> out);
void read_row(const AffineMatrix& matrix, int64_t row, std::span<double> out);

// The same numbers in the same bytes: equal without being read.
bool same_place(const AffineMatrix& a, const AffineMatrix& b);

}  // namespace ettin
