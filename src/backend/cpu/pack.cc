#include "backend/cpu/pack.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/scratch.h"
#include "backend/shapes.h"

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

LinearWeight pack_matrix(const MatrixSource& source, MatrixUse use, const MatrixKernels& kernels,
                         ThreadPool& pool) {
  const auto [rows, cols] = matrix_shape(source);
  LinearWeight w;
  w.out_features = rows;
  w.in_features = cols;
  w.layout = WeightLayout::panels;
  w.panel_width = static_cast<int32_t>(kernels.panel_width);
  w.gated = use == MatrixUse::gated;
  ETTIN_CHECK(!w.gated || rows % 2 == 0);
  const int64_t width = kernels.panel_width, panels = panel_count(w), k = cols;
  auto data = std::make_shared<Buffer>(to_size(panels * width * k) * sizeof(float));
  pool.parallel_for(panels, [&](int64_t p, int) {
    // Widened rows, then one row of zeros that stands for the missing ones.
    float* wide = thread_scratch((width + 1) * k);
    float* zeros = wide + width * k;
    std::fill_n(zeros, k, 0.0f);
    std::vector<const float*> at(to_size(width), zeros);
    for (const auto& run : rows_of_panel(p, w.out_features, w.gated, width).runs) {
      for (int64_t r = 0; r < run.count; ++r) {
        float* to = wide + (run.column + r) * k;
        const auto [block, row] = find_row(source.blocks, run.first + r);
        read_row(*block, row, std::span(to, to_size(k)));
        at[to_size(run.column + r)] = to;
      }
    }
    kernels.pack_panel(at.data(), k, data->as<float>() + p * width * k);
  });
  w.data = std::move(data);
  if (!source.bias_blocks.empty()) w.bias = pack_bias(source.bias_blocks, rows, w.gated, width);
  return w;
}

}  // namespace ettin::cpu
