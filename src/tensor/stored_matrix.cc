#include "tensor/stored_matrix.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/half.h"
#include "tensor/hadamard.h"
#include "tensor/quantize.h"

namespace ettin {
namespace {

const std::byte* at(const StoredTensor& tensor, int64_t element) {
  const auto offset = static_cast<size_t>(element) * dtype_bytes(tensor.dtype);
  ETTIN_CHECK(offset <= tensor.bytes.size());
  return tensor.bytes.data() + offset;
}

float q8_scale(const StoredMatrix& m, int64_t row) {
  float scale;
  std::memcpy(&scale, at(*m.scales, row), sizeof scale);
  return scale;
}

uint8_t nibble(const std::byte* bytes, int64_t i) {
  const auto byte = std::to_integer<uint8_t>(bytes[i / 2]);
  return i % 2 == 0 ? byte & 15u : byte >> 4;
}

template <class T>
void read_any(const StoredMatrix& m, int64_t row, std::span<T> out) {
  const int64_t k = m.in_features;
  ETTIN_CHECK(static_cast<int64_t>(out.size()) == k && row >= 0 && row < m.out_features());
  if (m.values->affine != nullptr) return read_row(*m.values->affine, row, out);
  if (!m.quantized()) return read_elements(*m.values, static_cast<uint64_t>(row * k), out);
  if (m.format() == WeightFormat::q8) {
    const std::byte* values = at(*m.values, row * k);
    const T scale = static_cast<T>(q8_scale(m, row));
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<T>(static_cast<int8_t>(values[i])) * scale;
    }
    return rotate_row(out);
  }
  const std::byte* values = at(*m.values, row * ((k + 1) / 2));
  const std::byte* scales = at(*m.scales, row * q4_blocks(k));
  for (int64_t i = 0; i < k; ++i) {
    uint16_t scale;
    std::memcpy(&scale, scales + i / kQ4Block * 2, sizeof scale);
    out[static_cast<size_t>(i)] =
        static_cast<T>(nibble(values, i) - kQ4Zero) * static_cast<T>(fp16_to_float(scale));
  }
}

}  // namespace

StoredMatrix::StoredMatrix(const StoredTensor* floating)
    : values(floating), in_features(static_cast<int64_t>(floating->shape.at(1))) {}

StoredMatrix::StoredMatrix(const StoredTensor* integers, const StoredTensor* their_scales,
                           int64_t in)
    : values(integers), scales(their_scales), in_features(in) {}

WeightFormat StoredMatrix::format() const {
  if (quantized()) return values->dtype == Dtype::i8 ? WeightFormat::q8 : WeightFormat::q4;
  if (values->affine != nullptr && values->affine->quantized()) {
    const AffineMatrix& m = *values->affine;
    const bool bytes =
        number_bits(m.values.kind) == 8 && (m.zeros.bytes.empty() || is_integer(m.zeros.kind));
    return m.rounds_activations && bytes && m.one_block() ? WeightFormat::int8
                                                          : WeightFormat::weight_only;
  }
  return values->dtype == Dtype::bf16 ? WeightFormat::bf16 : WeightFormat::f32;
}

void read_row(const StoredMatrix& matrix, int64_t row, std::span<float> out) {
  read_any(matrix, row, out);
}

void read_row(const StoredMatrix& matrix, int64_t row, std::span<double> out) {
  read_any(matrix, row, out);
}

void read_row(std::span<const StoredMatrix> blocks, int64_t row, std::span<double> out) {
  for (const StoredMatrix& m : blocks) {
    if (row < m.out_features()) return read_row(m, row, out);
    row -= m.out_features();
  }
  ETTIN_CHECK(false);
}

float read_row_q8(const StoredMatrix& matrix, int64_t row, std::span<int8_t> out) {
  if (!matrix.quantized()) {
    std::vector<float> wide(out.size());
    read_row(matrix, row, wide);
    rotate_row(std::span(wide));
    return quantize_q8(wide, out);
  }
  ETTIN_CHECK(matrix.format() == WeightFormat::q8);
  std::memcpy(out.data(), at(*matrix.values, row * matrix.in_features), out.size());
  return q8_scale(matrix, row);
}

void read_row_q4(const StoredMatrix& matrix, int64_t row, std::span<uint8_t> nibbles,
                 std::span<uint16_t> scales) {
  const int64_t k = matrix.in_features;
  if (!matrix.quantized()) {
    std::vector<float> wide(nibbles.size());
    read_row(matrix, row, wide);
    return quantize_q4(wide, nibbles, scales);
  }
  ETTIN_CHECK(matrix.format() == WeightFormat::q4);
  const std::byte* values = at(*matrix.values, row * ((k + 1) / 2));
  for (int64_t i = 0; i < k; ++i) nibbles[static_cast<size_t>(i)] = nibble(values, i);
  std::memcpy(scales.data(), at(*matrix.scales, row * q4_blocks(k)), scales.size_bytes());
}

namespace {

const AffineMatrix* integers_of(const StoredMatrix& matrix) {
  const AffineMatrix* m = matrix.values->affine.get();
  return m != nullptr && m->quantized() ? m : nullptr;
}

// What makes a stored integer unsigned.
int offset_of(NumberKind kind) {
  return kind == NumberKind::i8 ? 128 : kind == NumberKind::i4 ? 8 : 0;
}

void read_levels(const AffineMatrix& m, int64_t row, std::span<uint8_t> out) {
  std::vector<float> wide(out.size());
  m.values.read_row(row, wide);
  const int offset = offset_of(m.values.kind);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<uint8_t>(static_cast<int>(wide[i]) + offset);
  }
}

}  // namespace

ByteScale read_row_bytes(const StoredMatrix& matrix, int64_t row, std::span<uint8_t> out) {
  if (const AffineMatrix* m = integers_of(matrix)) {
    ETTIN_CHECK(matrix.format() == WeightFormat::int8);
    read_levels(*m, row, out);
    return {static_cast<float>(m->scale_at(row, 0)),
            static_cast<int32_t>(m->zero_at(row, 0)) + offset_of(m->values.kind)};
  }
  std::vector<float> wide(out.size());
  std::vector<int8_t> levels(out.size());
  read_row(matrix, row, std::span(wide));
  const float scale = quantize_q8(wide, levels);
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(levels[i] + 128);
  return {scale, 128};
}

WeightBlocks weight_blocks(const StoredMatrix& matrix) {
  const AffineMatrix* m = integers_of(matrix);
  if (m == nullptr) return {4, kQ4Block, false, kQ4Zero};
  return {static_cast<int32_t>(number_bits(m->values.kind)), m->block, !m->zeros.bytes.empty(),
          m->zeros.bytes.empty() ? static_cast<float>(m->zero + offset_of(m->values.kind)) : 0.0f};
}

void read_row_blocks(const StoredMatrix& matrix, int64_t row, std::span<uint8_t> levels,
                     std::span<float> scales, std::span<float> zeros) {
  if (const AffineMatrix* m = integers_of(matrix)) {
    read_levels(*m, row, levels);
    for (int64_t b = 0; b < m->blocks(); ++b) {
      scales[static_cast<size_t>(b)] = static_cast<float>(m->scale_at(row, b));
      zeros[static_cast<size_t>(b)] =
          static_cast<float>(m->zero_at(row, b) + offset_of(m->values.kind));
    }
    return;
  }
  std::vector<float> wide(levels.size());
  std::vector<uint16_t> halves(scales.size());
  read_row(matrix, row, std::span(wide));
  quantize_q4(wide, levels, halves);
  for (size_t b = 0; b < scales.size(); ++b) scales[b] = fp16_to_float(halves[b]);
  std::fill(zeros.begin(), zeros.end(), static_cast<float>(kQ4Zero));
}

}  // namespace ettin
