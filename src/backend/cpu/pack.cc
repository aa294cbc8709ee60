#include "backend/cpu/pack.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/scratch.h"
#include "backend/shapes.h"
#include "base/half.h"
#include "tensor/quantize.h"

namespace ettin::cpu {
namespace {

// The rows that a panel holds: up to two runs of consecutive rows of the stacked blocks.
struct PanelRows {
  struct Run {
    int64_t column, first, count;
  } runs[2];
};

PanelRows rows_of_panel(int64_t panel, int64_t out_features, bool gated, int64_t width) {
  if (!gated) {
    const int64_t first = panel * width;
    return {{{0, first, std::min(width, out_features - first)}, {0, 0, 0}}};
  }
  const int64_t half = out_features / 2, first = panel * width / 2;
  const int64_t count = std::min(width / 2, half - first);
  return {{{0, first, count}, {width / 2, half + first, count}}};
}

// The block that holds row `row` of the stacked blocks, and the row's place in it.
std::pair<const StoredMatrix*, int64_t> find_row(const std::vector<StoredMatrix>& blocks,
                                                 int64_t row) {
  for (const StoredMatrix& block : blocks) {
    if (row < block.out_features()) return {&block, row};
    row -= block.out_features();
  }
  ETTIN_CHECK(false);
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Writes columns of one panel; `k` and `width` are the panel's.
struct PanelWriter {
  std::byte* panel;
  int64_t k, width;

  void write(WeightFormat format, int64_t column, const StoredMatrix& block, int64_t row) const {
    float* wide = thread_scratch(2 * ceil_div(k, kQ4Block) * kQ4Block);
    const auto n = to_size(k);
    if (format == WeightFormat::q8) {
      auto* levels = reinterpret_cast<int8_t*>(wide);
      const float scale = read_row_q8(block, row, {levels, n});
      std::memcpy(panel + 4 * column, &scale, sizeof scale);
      std::byte* to = panel + 4 * width;
      for (int64_t i = 0; i < k; ++i) {
        to[(i / 4 * width + column) * 4 + i % 4] = static_cast<std::byte>(levels[i] + 128);
      }
    } else if (format == WeightFormat::q4) {
      auto* nibbles = reinterpret_cast<uint8_t*>(wide);
      auto* scales = reinterpret_cast<uint16_t*>(wide + ceil_div(k, kQ4Block) * kQ4Block);
      read_row_q4(block, row, {nibbles, n}, {scales, to_size(q4_blocks(k))});
      for (int64_t i = 0; i < k; ++i) put_nibble(column, i, nibbles[i]);
      for (int64_t b = 0; b < q4_blocks(k); ++b) {
        std::memcpy(panel + b * q4_block_bytes() + 2 * column, scales + b, sizeof scales[b]);
      }
    } else {
      read_row(block, row, std::span(wide, n));
      for (int64_t i = 0; i < k; ++i) {
        const uint16_t narrow = float_to_bf16(wide[i]);
        std::memcpy(panel + ((i / 2 * width + column) * 2 + i % 2) * 2, &narrow, sizeof narrow);
      }
    }
  }

  // What a column that does not exist holds: zero in every format.
  void clear(WeightFormat format) const {
    std::memset(panel, 0, to_size(panel_bytes(format, k, width)));
    if (format == WeightFormat::q8) {
      std::memset(panel + 4 * width, 128, to_size(panel_bytes(format, k, width) - 4 * width));
    }
  }

 private:
  int64_t q4_block_bytes() const { return 2 * width + width * kQ4Block / 2; }

  void put_nibble(int64_t column, int64_t i, uint8_t nibble) const {
    const int64_t in_block = i % kQ4Block, j = in_block % 16 / 4, t = in_block % 4;
    std::byte* at =
        panel + i / kQ4Block * q4_block_bytes() + 2 * width + (j * width + column) * 4 + t;
    *at |= static_cast<std::byte>(in_block < 16 ? nibble : nibble << 4);
  }
};

}  // namespace

std::shared_ptr<const Buffer> pack_bias(const std::vector<const StoredTensor*>& blocks,
                                        int64_t out_features, bool gated, int64_t panel_width) {
  std::vector<float> all(to_size(out_features));
  int64_t at = 0;
  for (const StoredTensor* block : blocks) {
    const auto n = static_cast<int64_t>(block->element_count());
    read_elements(*block, 0, std::span(all).subspan(to_size(at), to_size(n)));
    at += n;
  }
  ETTIN_CHECK(at == out_features);
  LinearWeight shape;
  shape.out_features = out_features;
  shape.gated = gated;
  shape.panel_width = static_cast<int32_t>(panel_width);
  const int64_t panels = panel_count(shape);
  Buffer packed(to_size(panels * panel_width) * sizeof(float));
  std::memset(packed.data(), 0, packed.size());
  for (int64_t p = 0; p < panels; ++p) {
    for (const auto& run : rows_of_panel(p, out_features, gated, panel_width).runs) {
      std::copy_n(all.data() + run.first, run.count,
                  packed.as<float>() + p * panel_width + run.column);
    }
  }
  return std::make_shared<const Buffer>(std::move(packed));
}

int64_t panel_bytes(WeightFormat format, int64_t in_features, int64_t panel_width) {
  switch (format) {
    case WeightFormat::bf16:
      return ceil_div(in_features, 2) * panel_width * 4;
    case WeightFormat::q8:
      return panel_width * 4 + ceil_div(in_features, 4) * panel_width * 4;
    case WeightFormat::q4:
      return q4_blocks(in_features) * panel_width * (2 + kQ4Block / 2);
    default:
      return in_features * panel_width * 4;
  }
}

LinearWeight pack_matrix(const MatrixSource& source, MatrixUse use, WeightFormat format,
                         const MatrixKernels& kernels, ThreadPool& pool) {
  const auto [rows, cols] = matrix_shape(source);
  LinearWeight w;
  w.out_features = rows;
  w.in_features = cols;
  w.format = format;
  w.layout = WeightLayout::panels;
  w.panel_width = static_cast<int32_t>(kernels.panel_width);
  w.gated = use == MatrixUse::gated;
  ETTIN_CHECK(!w.gated || rows % 2 == 0);
  const int64_t width = kernels.panel_width, panels = panel_count(w), k = cols;
  const int64_t bytes = panel_bytes(format, k, width);
  auto data = std::make_shared<Buffer>(to_size(panels * bytes));
  pool.parallel_for(panels, [&](int64_t p, int) {
    std::byte* panel = data->data() + p * bytes;
    const PanelRows panel_rows = rows_of_panel(p, w.out_features, w.gated, width);
    if (format != WeightFormat::f32) {
      const PanelWriter writer{panel, k, width};
      writer.clear(format);
      for (const auto& run : panel_rows.runs) {
        for (int64_t r = 0; r < run.count; ++r) {
          const auto [block, row] = find_row(source.blocks, run.first + r);
          writer.write(format, run.column + r, *block, row);
        }
      }
      return;
    }
    // Widened rows, then one row of zeros that stands for the missing ones.
    float* wide = thread_scratch((width + 1) * k);
    float* zeros = wide + width * k;
    std::fill_n(zeros, k, 0.0f);
    std::vector<const float*> at(to_size(width), zeros);
    for (const auto& run : panel_rows.runs) {
      for (int64_t r = 0; r < run.count; ++r) {
        float* to = wide + (run.column + r) * k;
        const auto [block, row] = find_row(source.blocks, run.first + r);
        read_row(*block, row, std::span(to, to_size(k)));
        at[to_size(run.column + r)] = to;
      }
    }
    kernels.pack_panel(at.data(), k, reinterpret_cast<float*>(panel));
  });
  w.data = std::move(data);
  if (!source.bias_blocks.empty()) w.bias = pack_bias(source.bias_blocks, rows, w.gated, width);
  return w;
}

void round_row(WeightFormat format, const float* x, int64_t k, float* out) {
  if (format == WeightFormat::bf16) {
    for (int64_t i = 0; i < k; ++i) out[i] = bf16_to_float(float_to_bf16(x[i]));
    return;
  }
  // The levels lie in the last quarter of the row, read before they are written over.
  auto* levels = reinterpret_cast<int8_t*>(out) + 3 * k;
  const float scale = quantize_q8({x, to_size(k)}, {levels, to_size(k)});
  for (int64_t i = 0; i < k; ++i) {
    const auto level = static_cast<float>(levels[i]);
    out[i] = level * scale;
  }
}

void unpack_row(const LinearWeight& weight, int64_t row, float* out) {
  const int64_t width = weight.panel_width, k = weight.in_features, column = row % width;
  const std::byte* panel = weight.data->data() + row / width * panel_bytes(weight.format, k, width);
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
  } else {
    const int64_t block_bytes = width * (2 + kQ4Block / 2);
    for (int64_t i = 0; i < k; ++i) {
      const std::byte* block = panel + i / kQ4Block * block_bytes;
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
