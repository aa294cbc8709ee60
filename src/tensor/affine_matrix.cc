#include "tensor/affine_matrix.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/half.h"

namespace ettin {
namespace {

template <class T>
T load(const std::byte* bytes, int64_t i) {
  T v;
  std::memcpy(&v, bytes + i * static_cast<int64_t>(sizeof(T)), sizeof v);
  return v;
}

int nibble(const std::byte* bytes, int64_t i) {
  const auto both = std::to_integer<int>(bytes[i / 2]);
  return i % 2 == 0 ? both & 15 : both >> 4;
}

// Calls fn(read) with a function from a number's place to its value.
template <class Fn>
decltype(auto) with_reader(const NumberGrid& grid, Fn fn) {
  const std::byte* p = grid.bytes.data();
  switch (grid.kind) {
    case NumberKind::f64:
      return fn([p](int64_t i) { return load<double>(p, i); });
    case NumberKind::f32:
      return fn([p](int64_t i) { return load<float>(p, i); });
    case NumberKind::bf16:
      return fn([p](int64_t i) { return bf16_to_float(load<uint16_t>(p, i)); });
    case NumberKind::f16:
      return fn([p](int64_t i) { return fp16_to_float(load<uint16_t>(p, i)); });
    case NumberKind::i8:
      return fn([p](int64_t i) { return static_cast<int>(load<int8_t>(p, i)); });
    case NumberKind::u8:
      return fn([p](int64_t i) { return static_cast<int>(load<uint8_t>(p, i)); });
    case NumberKind::i4:
      return fn([p](int64_t i) { return (nibble(p, i) ^ 8) - 8; });
    case NumberKind::u4:
      return fn([p](int64_t i) { return nibble(p, i); });
  }
  ETTIN_CHECK(false && "number kind");
}

template <class T>
void read_numbers(const NumberGrid& grid, int64_t row, std::span<T> out) {
  const int64_t start = grid.first + row * grid.row_stride, step = grid.column_stride;
  with_reader(grid, [&](auto read) {
    int64_t at = start;
    for (T& v : out) {
      v = static_cast<T>(read(at));
      at += step;
    }
  });
}

template <class T>
void read_affine(const AffineMatrix& m, int64_t row, std::span<T> out) {
  ETTIN_CHECK(row >= 0 && row < m.rows && static_cast<int64_t>(out.size()) == m.columns);
  m.values.read_row(row, out);
  if (!m.quantized()) return;
  for (int64_t b = 0; b < m.blocks(); ++b) {
    const T zero = static_cast<T>(m.zero_at(row, b)), scale = static_cast<T>(m.scale_at(row, b));
    const auto first = static_cast<size_t>(b * m.block);
    const size_t last = std::min(out.size(), first + static_cast<size_t>(m.block));
    for (size_t i = first; i < last; ++i) out[i] = (out[i] - zero) * scale;
  }
}

bool same_place(const NumberGrid& a, const NumberGrid& b) {
  return a.bytes.data() == b.bytes.data() && a.bytes.size() == b.bytes.size() && a.kind == b.kind &&
         a.first == b.first && a.row_stride == b.row_stride && a.column_stride == b.column_stride;
}

}  // namespace

bool NumberGrid::holds(int64_t rows, int64_t columns) const {
  if (rows == 0 || columns == 0) return true;
  if (first < 0 || row_stride < 0 || column_stride < 0) return false;
  const __int128 last = static_cast<__int128>(first) +
                        static_cast<__int128>(rows - 1) * row_stride +
                        static_cast<__int128>(columns - 1) * column_stride;
  return (last + 1) * number_bits(kind) <= static_cast<__int128>(bytes.size()) * 8;
}

double NumberGrid::at(int64_t row, int64_t column) const {
  return with_reader(*this, [&](auto read) {
    return static_cast<double>(read(first + row * row_stride + column * column_stride));
  });
}

void NumberGrid::read_row(int64_t row, std::span<float> out) const {
  read_numbers(*this, row, out);
}

void NumberGrid::read_row(int64_t row, std::span<double> out) const {
  read_numbers(*this, row, out);
}

bool AffineMatrix::holds() const {
  if (rows < 0 || columns < 0 || !values.holds(rows, columns)) return false;
  if (!quantized()) return true;
  return block > 0 && (scales.bytes.empty() || scales.holds(rows, blocks())) &&
         (zeros.bytes.empty() || zeros.holds(rows, blocks()));
}

void read_row(const AffineMatrix& matrix, int64_t row, std::span<float> out) {
  read_affine(matrix, row, out);
}

void read_row(const AffineMatrix& matrix, int64_t row, std::span<double> out) {
  read_affine(matrix, row, out);
}

bool same_place(const AffineMatrix& a, const AffineMatrix& b) {
  return a.rows == b.rows && a.columns == b.columns && same_place(a.values, b.values) &&
         same_place(a.scales, b.scales) && same_place(a.zeros, b.zeros) && a.zero == b.zero &&
         (!a.quantized() || a.block == b.block);
}

}  // namespace ettin
