#include "backend/cpu/pack.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "backend/cpu/scratch.h"
#include "backend/shapes.h"
#include "base/file.h"
#include "base/half.h"
#include "tensor/hadamard.h"
#include "tensor/quantize.h"

namespace ettin::cpu {
namespace {

constexpr int64_t kPackedAtOnce = 16 * 1024 * 1024;  // bytes of fp32

int64_t q4_block_bytes(int64_t width) { return width * (2 + kQ4Block / 2); }

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

// A panel is its columns transposed in units of 4 bytes: every format fills rows of 32-bit words,
// one for each column, and MatrixKernels::pack_panel transposes them.
using Words = std::vector<const float*>;  // the columns of a panel

int64_t words_of_column(WeightFormat format, int64_t k) {
  switch (format) {
    case WeightFormat::bf16:
      return ceil_div(k, 2);
    case WeightFormat::q8:
      return ceil_div(k, 4);
    case WeightFormat::q4:
      return q4_blocks(k) * 4;
    default:
      return k;
  }
}

// Where one column of a panel is written: its words, and its scales where the format has them.
struct Column {
  float* words;
  std::byte* panel;
  int64_t index, width;  // of the column, of the panel
};

void write_bf16(const StoredMatrix& block, int64_t row, const Column& to) {
  const int64_t k = block.in_features;
  std::vector<float> wide(to_size(k));
  read_row(block, row, wide);
  auto* halves = reinterpret_cast<uint16_t*>(to.words);
  for (int64_t i = 0; i < k; ++i) halves[i] = float_to_bf16(wide[to_size(i)]);
  if (k % 2 == 1) halves[k] = 0;
}

void write_q8(const StoredMatrix& block, int64_t row, const Column& to) {
  const int64_t k = block.in_features;
  auto* levels = reinterpret_cast<int8_t*>(to.words);
  const float scale = read_row_q8(block, row, {levels, to_size(k)});
  std::memcpy(to.panel + 4 * to.index, &scale, sizeof scale);
  std::fill(levels + k, levels + 4 * ceil_div(k, 4), int8_t{0});
  for (int64_t i = 0; i < 4 * ceil_div(k, 4); ++i) {
    levels[i] = static_cast<int8_t>(levels[i] ^ -128);  // + 128 as an unsigned byte
  }
}

void write_q4(const StoredMatrix& block, int64_t row, const Column& to) {
  const int64_t k = block.in_features, blocks = q4_blocks(k);
  std::vector<uint8_t> nibbles(to_size(blocks * kQ4Block), kQ4Zero);
  std::vector<uint16_t> scales(to_size(blocks));
  read_row_q4(block, row, std::span(nibbles).first(to_size(k)), scales);
  auto* bytes = reinterpret_cast<uint8_t*>(to.words);
  for (int64_t b = 0; b < blocks; ++b) {
    std::memcpy(to.panel + b * q4_block_bytes(to.width) + 2 * to.index, &scales[to_size(b)], 2);
    const uint8_t* from = nibbles.data() + b * kQ4Block;
    for (int64_t i = 0; i < kQ4Block / 2; ++i) {
      bytes[b * kQ4Block / 2 + i] = static_cast<uint8_t>(from[i] | from[i + kQ4Block / 2] << 4);
    }
  }
}

void write_column(WeightFormat format, const StoredMatrix& block, int64_t row, const Column& to) {
  switch (format) {
    case WeightFormat::bf16:
      return write_bf16(block, row, to);
    case WeightFormat::q8:
      return write_q8(block, row, to);
    case WeightFormat::q4:
      return write_q4(block, row, to);
    default:
      return read_row(block, row, std::span(to.words, to_size(block.in_features)));
  }
}

// The words of a column that does not exist: zero in every format, with a scale of zero.
uint32_t empty_word(WeightFormat format) { return format == WeightFormat::q8 ? 0x80808080u : 0u; }

void transpose_words(WeightFormat format, Words columns, int64_t k, int64_t width,
                     const MatrixKernels& kernels, std::byte* panel) {
  const int64_t words = words_of_column(format, k);
  if (format == WeightFormat::q4) {
    for (int64_t b = 0; b < q4_blocks(k); ++b) {
      std::byte* to = panel + b * q4_block_bytes(width) + 2 * width;
      kernels.pack_panel(columns.data(), 4, reinterpret_cast<float*>(to));
      for (const float*& column : columns) column += 4;
    }
    return;
  }
  if (format == WeightFormat::q8) panel += 4 * width;
  kernels.pack_panel(columns.data(), words, reinterpret_cast<float*>(panel));
}

// Gives back the memory of rows that were read from a mapped file.
void release_rows(const std::vector<StoredMatrix>& blocks, int64_t first, int64_t count) {
  for (const StoredMatrix& block : blocks) {
    const int64_t rows = block.out_features();
    const int64_t from = std::clamp<int64_t>(first, 0, rows);
    const int64_t to = std::clamp<int64_t>(first + count, 0, rows);
    const StoredTensor& values = *block.values;
    if (from < to && values.mapped && values.affine != nullptr) {
      release_pages(values.bytes);  // its rows may lie all over them
    } else if (from < to && values.mapped) {
      const size_t row = values.bytes.size() / to_size(rows);
      release_pages(values.bytes.subspan(to_size(from) * row, to_size(to - from) * row));
    }
    first -= rows;
  }
}

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
      return q4_blocks(in_features) * q4_block_bytes(panel_width);
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
  if (!source.bias_blocks.empty()) w.bias = pack_bias(source.bias_blocks, rows, w.gated, width);
  if (source.packed != nullptr && source.packed->size() == to_size(panels * bytes)) {
    w.data = source.packed;
    return w;
  }
  auto data = std::make_shared<Buffer>(to_size(panels * bytes));
  const auto pack_panel = [&](int64_t p) {
    std::byte* panel = data->data() + p * bytes;
    // Scales of columns that do not exist stay zero.
    if (format == WeightFormat::q8) std::memset(panel, 0, to_size(4 * width));
    if (format == WeightFormat::q4) std::memset(panel, 0, to_size(bytes));
    // The columns' words, then one column that stands for the missing ones.
    const int64_t words = words_of_column(format, k);
    float* scratch = thread_scratch((width + 1) * words);
    std::fill_n(scratch + width * words, words, std::bit_cast<float>(empty_word(format)));
    Words columns(to_size(width), scratch + width * words);
    for (const auto& run : rows_of_panel(p, w.out_features, w.gated, width).runs) {
      for (int64_t r = 0; r < run.count; ++r) {
        const int64_t column = run.column + r;
        float* to = scratch + column * words;
        const auto [block, row] = find_row(source.blocks, run.first + r);
        write_column(format, *block, row, {to, panel, column, width});
        columns[to_size(column)] = to;
      }
    }
    transpose_words(format, std::move(columns), k, width, kernels, panel);
  };
  // In parts, after each of which the file's pages are given back: a model needs the memory of its
  // packed weights and little more while it is loaded.
  const int64_t part = std::max<int64_t>(1, kPackedAtOnce / (4 * k * width));
  for (int64_t first = 0; first < panels; first += part) {
    const int64_t count = std::min(part, panels - first);
    pool.parallel_for(count, [&](int64_t p, int) { pack_panel(first + p); });
    for (int64_t p = first; p < first + count; ++p) {
      for (const auto& run : rows_of_panel(p, w.out_features, w.gated, width).runs) {
        release_rows(source.blocks, run.first, run.count);
      }
    }
  }
  w.data = std::move(data);
  return w;
}

void round_row(WeightFormat format, const float* x, int64_t k, float* out) {
  if (format == WeightFormat::bf16) {
    for (int64_t i = 0; i < k; ++i) out[i] = bf16_to_float(float_to_bf16(x[i]));
    return;
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
    rotate_row(std::span(out, to_size(k)));
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
