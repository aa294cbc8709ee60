#include "infer/onnx/weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "base/half.h"
#include "tensor/quantize.h"

namespace ettin {
namespace {

constexpr int64_t kStripBytes = int64_t{32} << 20;  // of a transposed matrix, in memory at once
constexpr float kMostColumnLevel = 64, kMostRowLevel = 127;

// The matrix that holds a row, and which row of it that is.
std::pair<const StoredMatrix*, int64_t> locate(std::span<const StoredMatrix> blocks, int64_t row) {
  for (const StoredMatrix& m : blocks) {
    if (row < m.out_features()) return {&m, row};
    row -= m.out_features();
  }
  ETTIN_CHECK(false);
  return {};
}

void read(const MatrixRows& m, int64_t row, std::span<float> out) {
  const auto [matrix, inner] = locate(m.blocks, m.first + row);
  read_row(*matrix, inner, out);
}

// Written: its pages of the model's file need not stay.
void release(const MatrixRows& m) {
  for (const StoredMatrix& matrix : m.blocks) {
    if (matrix.values->mapped) release_pages(matrix.values->bytes);
  }
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

int8_t level(float x, float scale, float most) {
  if (scale == 0) return 0;
  return static_cast<int8_t>(std::clamp(std::nearbyint(x / scale), -most, most));
}

}  // namespace

Status OnnxWeights::store(std::string_view name, float x, OnnxType type, std::byte* to) const {
  if (type == OnnxType::f32) {
    std::memcpy(to, &x, sizeof x);
    return {};
  }
  ETTIN_CHECK(type == OnnxType::f16);
  const uint16_t half = float_to_fp16(x);
  if (std::isfinite(x) && (half & 0x7fffu) == 0x7c00u) {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: {} holds {:.6g}, which fp16 cannot hold", where_, name, x),
                  "leave fp16 and q4f16 out of --dtype");
  }
  std::memcpy(to, &half, sizeof half);
  return {};
}

Status OnnxWeights::append(std::string_view name, std::span<const float> values, OnnxType type) {
  bytes_.resize(values.size() * onnx_bytes(type));
  std::byte* to = bytes_.data();
  for (const float x : values) {
    ETTIN_RETURN_IF_ERROR(store(name, x, type, to));
    to += onnx_bytes(type);
  }
  return writer_.append(bytes_);
}

Status OnnxWeights::rows(const std::string& name, const MatrixRows& m, OnnxType type) {
  ETTIN_RETURN_IF_ERROR(writer_.begin_tensor(name, type, std::array{m.rows, m.cols()}));
  std::vector<float> row(static_cast<size_t>(m.cols()));
  for (int64_t r = 0; r < m.rows; ++r) {
    read(m, r, row);
    ETTIN_RETURN_IF_ERROR(append(name, row, type));
  }
  release(m);
  return {};
}

// Strips of whole columns, each gathered in one pass over the rows. narrow(row number, values of
// the row in this strip, where the first goes, elements from one to the next).
template <class Narrow>
Status OnnxWeights::write_strips(const std::string& name, const MatrixRows& m, OnnxType type,
                                 Narrow narrow) {
  const int64_t cols = m.cols(), bytes = onnx_bytes(type);
  ETTIN_RETURN_IF_ERROR(writer_.begin_tensor(name, type, std::array{cols, m.rows}));
  const int64_t width = std::clamp(kStripBytes / (m.rows * bytes), int64_t{1}, cols);
  std::vector<float> row(static_cast<size_t>(cols));
  std::vector<std::byte> strip(static_cast<size_t>(width * m.rows * bytes));
  for (int64_t c = 0; c < cols; c += width) {
    const int64_t here = std::min(width, cols - c);
    for (int64_t r = 0; r < m.rows; ++r) {
      read(m, r, row);
      const auto some = std::span(row).subspan(static_cast<size_t>(c), static_cast<size_t>(here));
      ETTIN_RETURN_IF_ERROR(narrow(r, some, strip.data() + r * bytes));
    }
    ETTIN_RETURN_IF_ERROR(
        writer_.append(std::span(strip).first(static_cast<size_t>(here * m.rows * bytes))));
  }
  release(m);
  return {};
}

Status OnnxWeights::transposed(const std::string& name, const MatrixRows& m, OnnxType type) {
  const auto step = m.rows * int64_t{onnx_bytes(type)};
  return write_strips(name, m, type,
                      [&](int64_t, std::span<const float> values, std::byte* to) -> Status {
                        for (const float x : values) {
                          ETTIN_RETURN_IF_ERROR(store(name, x, type, to));
                          to += step;
                        }
                        return {};
                      });
}

Status OnnxWeights::largest(std::string_view name, const MatrixRows& m, std::vector<float>* out) {
  std::vector<float> row(static_cast<size_t>(m.cols()));
  for (int64_t r = 0; r < m.rows; ++r) {
    read(m, r, row);
    float most = 0;
    for (const float x : row) {
      if (!std::isfinite(x)) {
        return Status(StatusCode::bad_data,
                      fmt::format("{}: {} holds a value that is not finite", where_, name),
                      "only fp32 and fp16 can hold it");
      }
      most = std::max(most, std::fabs(x));
    }
    out->push_back(most);
  }
  return {};
}

Status OnnxWeights::q8_columns(const std::string& name, const MatrixRows& m) {
  std::vector<float> scales;
  ETTIN_RETURN_IF_ERROR(largest(name, m, &scales));
  for (float& scale : scales) scale /= kMostColumnLevel;
  ETTIN_RETURN_IF_ERROR(write_strips(
      name + "_quantized", m, OnnxType::i8,
      [&](int64_t row, std::span<const float> values, std::byte* to) -> Status {
        for (const float x : values) {
          *to =
              static_cast<std::byte>(level(x, scales[static_cast<size_t>(row)], kMostColumnLevel));
          to += m.rows;
        }
        return {};
      }));
  return this->values(name + "_scale", scales, std::array{m.rows}, OnnxType::f32);
}

Status OnnxWeights::q8_rows(const std::string& name, const MatrixRows& m) {
  std::vector<float> all;
  ETTIN_RETURN_IF_ERROR(largest(name, m, &all));
  const float scale = *std::max_element(all.begin(), all.end()) / kMostRowLevel;
  ETTIN_RETURN_IF_ERROR(
      writer_.begin_tensor(name + "_quantized", OnnxType::i8, std::array{m.rows, m.cols()}));
  std::vector<float> row(static_cast<size_t>(m.cols()));
  std::vector<int8_t> levels(row.size());
  for (int64_t r = 0; r < m.rows; ++r) {
    read(m, r, row);
    for (size_t i = 0; i < row.size(); ++i) levels[i] = level(row[i], scale, kMostRowLevel);
    ETTIN_RETURN_IF_ERROR(writer_.append(bytes_of(levels)));
  }
  release(m);
  return values(name + "_scale", std::array{scale}, {}, OnnxType::f32);
}

Status OnnxWeights::q4(const std::string& name, const MatrixRows& m, OnnxType scales) {
  const int64_t blocks = q4_blocks(m.cols());
  std::vector<float> unused;
  ETTIN_RETURN_IF_ERROR(largest(name, m, &unused));  // all finite?
  ETTIN_RETURN_IF_ERROR(
      writer_.begin_tensor(name + "_Q4", OnnxType::u8, std::array{m.rows, blocks, kQ4Block / 2}));
  std::vector<uint8_t> nibbles(static_cast<size_t>(m.cols()));
  std::vector<uint8_t> packed(static_cast<size_t>(blocks * kQ4Block / 2));
  std::vector<uint16_t> halves(static_cast<size_t>(m.rows * blocks));
  for (int64_t r = 0; r < m.rows; ++r) {
    const auto [matrix, inner] = locate(m.blocks, m.first + r);
    const auto row_scales =
        std::span(halves).subspan(static_cast<size_t>(r * blocks), static_cast<size_t>(blocks));
    read_row_q4(*matrix, inner, nibbles, row_scales);
    std::fill(packed.begin(), packed.end(), static_cast<uint8_t>(kQ4Zero * 17));
    for (size_t i = 0; i < nibbles.size(); ++i) {
      uint8_t& byte = packed[i / 2];
      byte = static_cast<uint8_t>(i % 2 == 0 ? (byte & 0xf0u) | nibbles[i]
                                             : (byte & 0x0fu) | nibbles[i] << 4);
    }
    ETTIN_RETURN_IF_ERROR(writer_.append(bytes_of(packed)));
  }
  release(m);
  std::vector<float> wide(halves.size());
  std::transform(halves.begin(), halves.end(), wide.begin(), fp16_to_float);
  if (!std::all_of(wide.begin(), wide.end(), [](float s) { return std::isfinite(s); })) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: {} holds values too large for q4", where_, name),
                  "leave q4 and q4f16 out of --dtype");
  }
  return values(name + "_scales", wide, std::array{m.rows, blocks}, scales);
}

Status OnnxWeights::vector(const std::string& name, std::span<const StoredTensor* const> parts,
                           int64_t first, int64_t count, OnnxType type) {
  std::vector<float> all;
  for (const StoredTensor* t : parts) {
    const size_t before = all.size();
    all.resize(before + t->element_count());
    read_elements(*t, 0, std::span(all).subspan(before));
  }
  const auto some =
      std::span<const float>(all).subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  return values(name, some, std::array{count}, type);
}

Status OnnxWeights::values(const std::string& name, std::span<const float> values,
                           std::span<const int64_t> shape, OnnxType type) {
  ETTIN_RETURN_IF_ERROR(writer_.begin_tensor(name, type, shape));
  return append(name, values, type);
}

}  // namespace ettin
