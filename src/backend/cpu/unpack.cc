// Rows out of packed matrices, and rows of activations as formats round them, one value at a time.
#include <algorithm>
#include <cstring>

#include "backend/cpu/pack.h"
#include "backend/cpu/scratch.h"
#include "backend/shapes.h"
#include "base/half.h"
#include "tensor/hadamard.h"
#include "tensor/quantize.h"

namespace ettin::cpu {

void round_row_bytes(ByteScale scale, const float* x, int64_t k, float* out) {
  auto* bytes = reinterpret_cast<uint8_t*>(out) + 3 * k;  // read before they are written over
  quantize_bytes({x, to_size(k)}, scale, {bytes, to_size(k)});
  for (int64_t i = 0; i < k; ++i) {
    out[i] = static_cast<float>(bytes[i] - scale.zero) * scale.scale;
  }
}

void round_row(WeightFormat format, const float* x, int64_t k, float* out) {
  if (format == WeightFormat::bf16) {
    for (int64_t i = 0; i < k; ++i) out[i] = bf16_to_float(float_to_bf16(x[i]));
    return;
  }
  if (format == WeightFormat::int8) {
    const auto [lo, hi] = range_with_zero({x, to_size(k)});
    return round_row_bytes(byte_scale(lo, hi), x, k, out);
  }
  // The levels lie in the last quarter of the row, read before they are written over.
  auto* levels = reinterpret_cast<int8_t*>(out) + 3 * k;
  if (format == WeightFormat::q8) {
    float* rotated = thread_scratch(k);
    if (x != rotated) std::copy_n(x, k, rotated);
    rotate_row(std::span(rotated, to_size(k)));
    x = rotated;
  }
  const float scale = quantize_q8({x, to_size(k)}, {levels, to_size(k)});
  for (int64_t i = 0; i < k; ++i) {
    const auto level = static_cast<float>(levels[i]);
    out[i] = level * scale;
  }
}

void unpack_row(const LinearWeight& weight, int64_t row, float* out) {
  const int64_t width = weight.panel_width, k = weight.in_features, column = row % width;
  const std::byte* panel = weight.data->data() + row / width * panel_bytes(weight);
  if (weight.format == WeightFormat::f32) {
    const float* from = reinterpret_cast<const float*>(panel) + column;
    for (int64_t i = 0; i < k; ++i) out[i] = from[i * width];
  } else if (weight.format == WeightFormat::bf16) {
    for (int64_t i = 0; i < k; ++i) {
      uint16_t narrow;
      std::memcpy(&narrow, panel + ((i / 2 * width + column) * 2 + i % 2) * 2, sizeof narrow);
      out[i] = bf16_to_float(narrow);
    }
  } else if (weight.format == WeightFormat::q8) {
    float scale;
    std::memcpy(&scale, panel + 4 * column, sizeof scale);
    const auto* from = reinterpret_cast<const uint8_t*>(panel + 4 * width);
    for (int64_t i = 0; i < k; ++i) {
      out[i] = static_cast<float>(from[(i / 4 * width + column) * 4 + i % 4] - 128) * scale;
    }
    rotate_row(std::span(out, to_size(k)));
  } else if (weight.format == WeightFormat::int8) {
    float scale;
    int32_t zero;
    std::memcpy(&scale, panel + 4 * column, sizeof scale);
    std::memcpy(&zero, panel + 4 * (width + column), sizeof zero);
    const auto* from = reinterpret_cast<const uint8_t*>(panel + 4 * width * kInt8HeaderWords);
    for (int64_t i = 0; i < k; ++i) {
      out[i] = static_cast<float>(from[(i / 4 * width + column) * 4 + i % 4] - zero) * scale;
    }
  } else if (weight.format == WeightFormat::weight_only) {
    const WeightBlocks& b = weight.blocks;
    for (int64_t first = 0; first < k; first += b.size, panel += block_bytes(b, width)) {
      float scale, zero = b.zero;
      std::memcpy(&scale, panel + 4 * column, sizeof scale);
      if (b.zeros) std::memcpy(&zero, panel + 4 * (width + column), sizeof zero);
      const auto* from = reinterpret_cast<const uint8_t*>(panel) + 4 * width * (b.zeros ? 2 : 1);
      for (int64_t i = 0; i < std::min(b.size, k - first); ++i) {
        int level;
        if (b.bits == 8) {
          level = from[(i / 4 * width + column) * 4 + i % 4];
        } else {
          level = from[(i / 8 * width + column) * 4 + i % 4] >> (i % 8 < 4 ? 0 : 4) & 15;
        }
        out[first + i] = (static_cast<float>(level) - zero) * scale;
      }
    }
  } else {
    for (int64_t i = 0; i < k; ++i) {
      const std::byte* block = panel + i / kQ4Block * q4_block_bytes(width);
      uint16_t scale;
      std::memcpy(&scale, block + 2 * column, sizeof scale);
      const int64_t in_block = i % kQ4Block, j = in_block % 16 / 4, t = in_block % 4;
      const auto both = std::to_integer<int>(block[2 * width + (j * width + column) * 4 + t]);
      const int nibble = in_block < 16 ? both & 15 : both >> 4;
      out[i] = static_cast<float>(nibble - kQ4Zero) * fp16_to_float(scale);
    }
  }
}

}  // namespace ettin::cpu
