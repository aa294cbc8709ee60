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

int64_t words_of_column(const LinearWeight& w) {
  const int64_t k = w.in_features;
  switch (w.format) {
    case WeightFormat::bf16:
      return ceil_div(k, 2);
    case WeightFormat::q8:
    case WeightFormat::int8:
      return ceil_div(k, 4);
    case WeightFormat::q4:
      return q4_blocks(k) * 4;
    case WeightFormat::weight_only:
      return ceil_div(k, w.blocks.size) * block_words(w.blocks);
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

void write_int8(const StoredMatrix& block, int64_t row, const Column& to) {
  const int64_t k = block.in_features;
  auto* bytes = reinterpret_cast<uint8_t*>(to.words);
  const ByteScale scale = read_row_bytes(block, row, {bytes, to_size(k)});
  std::fill(bytes + k, bytes + 4 * ceil_div(k, 4), uint8_t{0});  // times rows of zeros
  int32_t sum = 0;
  for (int64_t i = 0; i < k; ++i) sum += bytes[i] - scale.zero;
  std::byte* header = to.panel + 4 * to.index;
  std::memcpy(header, &scale.scale, 4);
  std::memcpy(header + 4 * to.width, &scale.zero, 4);
  std::memcpy(header + 8 * to.width, &sum, 4);
}

void write_weight_only(const LinearWeight& w, const StoredMatrix& block, int64_t row,
                       const Column& to) {
  const int64_t k = block.in_features, size = w.blocks.size, count = ceil_div(k, size);
  const int64_t words = block_words(w.blocks), bytes = block_bytes(w.blocks, to.width);
  std::vector<uint8_t> levels(to_size(k));
  std::vector<float> scales(to_size(count)), zeros(to_size(count));
  read_row_blocks(block, row, levels, scales, zeros);
  auto* out = reinterpret_cast<uint8_t*>(to.words);
  std::fill_n(out, 4 * words * count, uint8_t{0});
  for (int64_t b = 0; b < count; ++b, out += 4 * words) {
    std::byte* header = to.panel + b * bytes + 4 * to.index;
    std::memcpy(header, &scales[to_size(b)], 4);
    if (w.blocks.zeros) std::memcpy(header + 4 * to.width, &zeros[to_size(b)], 4);
    for (int64_t i = 0; i < std::min(size, k - b * size); ++i) {
      const uint8_t level = levels[to_size(b * size + i)];
      if (w.blocks.bits == 8) {
        out[i] = level;
      } else {
        uint8_t& byte = out[i / 8 * 4 + i % 4];
        byte = static_cast<uint8_t>(byte | level << (i % 8 < 4 ? 0 : 4));
      }
    }
  }
}

void write_column(const LinearWeight& w, const StoredMatrix& block, int64_t row, const Column& to) {
  switch (w.format) {
    case WeightFormat::int8:
      return write_int8(block, row, to);
    case WeightFormat::weight_only:
      return write_weight_only(w, block, row, to);
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

void transpose_words(const LinearWeight& w, Words columns, const MatrixKernels& kernels,
                     std::byte* panel) {
  const int64_t width = w.panel_width;
  const auto in_blocks = [&](int64_t blocks, int64_t words, int64_t header, int64_t bytes) {
    for (int64_t b = 0; b < blocks; ++b) {
      kernels.pack_panel(columns.data(), words, reinterpret_cast<float*>(panel + header));
      for (const float*& column : columns) column += words;
      panel += bytes;
    }
  };
  if (w.format == WeightFormat::q4) {
    return in_blocks(q4_blocks(w.in_features), 4, 2 * width, q4_block_bytes(width));
  }
  if (w.format == WeightFormat::weight_only) {
    return in_blocks(ceil_div(w.in_features, w.blocks.size), block_words(w.blocks),
                     4 * width * (w.blocks.zeros ? 2 : 1), block_bytes(w.blocks, width));
  }
  if (w.format == WeightFormat::q8) panel += 4 * width;
  if (w.format == WeightFormat::int8) panel += 4 * width * kInt8HeaderWords;
  kernels.pack_panel(columns.data(), words_of_column(w), reinterpret_cast<float*>(panel));
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

int64_t panel_bytes(const LinearWeight& w) {
  const int64_t k = w.in_features, width = w.panel_width;
  switch (w.format) {
    case WeightFormat::bf16:
      return ceil_div(k, 2) * width * 4;
    case WeightFormat::q8:
      return width * 4 + ceil_div(k, 4) * width * 4;
    case WeightFormat::q4:
      return q4_blocks(k) * q4_block_bytes(width);
    case WeightFormat::int8:
      return (kInt8HeaderWords + ceil_div(k, 4)) * width * 4;
    case WeightFormat::weight_only:
      return ceil_div(k, w.blocks.size) * block_bytes(w.blocks, width);
    default:
      return k * width * 4;
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
  if (format == WeightFormat::weight_only) w.blocks = weight_blocks(source.blocks.front());
  const int64_t bytes = panel_bytes(w);
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
    if (format == WeightFormat::int8) std::memset(panel, 0, to_size(4 * width * kInt8HeaderWords));
    if (format == WeightFormat::q4 || format == WeightFormat::weight_only) {
      std::memset(panel, 0, to_size(bytes));
    }
    // The columns' words, then one column that stands for the missing ones.
    const int64_t words = words_of_column(w);
    float* scratch = thread_scratch((width + 1) * words);
    std::fill_n(scratch + width * words, words, std::bit_cast<float>(empty_word(format)));
    Words columns(to_size(width), scratch + width * words);
    for (const auto& run : rows_of_panel(p, w.out_features, w.gated, width).runs) {
      for (int64_t r = 0; r < run.count; ++r) {
        const int64_t column = run.column + r;
        float* to = scratch + column * words;
        const auto [block, row] = find_row(source.blocks, run.first + r);
        write_column(w, *block, row, {to, panel, column, width});
        columns[to_size(column)] = to;
      }
    }
    transpose_words(w, std::move(columns), kernels, panel);
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

}  // namespace ettin::cpu
