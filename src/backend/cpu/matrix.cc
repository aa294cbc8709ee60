// `linear`: tiles, then the epilogue on the tile while it is in the first-level cache.
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/matrix.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "backend/cpu/blocks-inl.h"
#include "backend/cpu/dispatch.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/math-inl.h"
#include "backend/cpu/tile-inl.h"
#include "backend/shapes.h"
#include "base/half.h"
#include "tensor/quantize.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {
namespace {

using cpu::LinearTask;

constexpr int64_t kMostColumns = 4 * kPanel;

// One row of raw sums, `panels` panels wide, to n <= panels * kPanel outputs (half for gated).
template <Activation kActivation, bool kCoarse>
void finish_row(Epilogue epilogue, const float* HWY_RESTRICT sums, const float* HWY_RESTRICT bias,
                int64_t panels, float* HWY_RESTRICT out, int64_t n) {
  const FloatTag d;
  HWY_ALIGN float whole[kMostColumns];  // for the last columns of a matrix, when they are uneven
  const int64_t full = epilogue == Epilogue::gated ? panels * kLanes : panels * kPanel;
  float* to = n < full ? whole : out;
  const auto y = [&](int64_t c) HWY_ATTR {
    const auto sum = hn::Load(d, sums + c);
    return bias != nullptr ? hn::Add(sum, hn::Load(d, bias + c)) : sum;
  };
  switch (epilogue) {
    case Epilogue::store:
      for (int64_t c = 0; c < full; c += kLanes) {
        hn::StoreU(vec_activate<kActivation, kCoarse>(y(c)), d, to + c);
      }
      break;
    case Epilogue::add:
      if (to == whole) std::copy(out, out + n, whole);
      for (int64_t c = 0; c < full; c += kLanes) {
        hn::StoreU(hn::Add(hn::LoadU(d, to + c), y(c)), d, to + c);
      }
      break;
    case Epilogue::gated:
      for (int64_t c = 0; c < full; c += kLanes) {
        hn::StoreU(hn::Mul(vec_activate<kActivation, kCoarse>(y(2 * c)), y(2 * c + kLanes)), d,
                   to + c);
      }
      break;
  }
  if (to == whole) std::copy(whole, whole + n, out);
}

// One panel of a narrow format as fp32 [k, kPanel], of q8 still rotated; layouts in cpu/pack.h.
void widen_panel(const LinearTask& task, const std::byte* panel, float* HWY_RESTRICT out) {
  const WeightFormat format = task.format;
  const int64_t k = task.in_features;
  const auto* bytes = reinterpret_cast<const uint8_t*>(panel);
  const auto* halves = reinterpret_cast<const uint16_t*>(panel);
  if (format == WeightFormat::bf16) {
    const FloatTag d;
    const hn::RebindToUnsigned<FloatTag> du;
    const auto* pairs = reinterpret_cast<const uint32_t*>(panel);
    for (int64_t i = 0; i < k; i += 2, pairs += kPanel) {
      for (int64_t c = 0; c < kPanel; c += kLanes) {
        const auto both = hn::Load(du, pairs + c);
        hn::Store(hn::BitCast(d, hn::ShiftLeft<16>(both)), d, out + i * kPanel + c);
        if (i + 1 == k) continue;
        const auto odd = hn::And(both, hn::Set(du, 0xffff0000u));
        hn::Store(hn::BitCast(d, odd), d, out + (i + 1) * kPanel + c);
      }
    }
  } else if (format == WeightFormat::q8) {
    const auto* scales = reinterpret_cast<const float*>(panel);
    for (int64_t i = 0; i < k; ++i) {
      const uint8_t* from = bytes + 4 * kPanel + i / 4 * kPanel * 4 + i % 4;
      for (int64_t c = 0; c < kPanel; ++c) {
        out[i * kPanel + c] = static_cast<float>(from[4 * c] - 128) * scales[c];
      }
    }
  } else if (format == WeightFormat::weight_only) {
    widen_blocks(task.blocks, panel, k, out);
  } else if (format == WeightFormat::int8) {
    const auto* scales = reinterpret_cast<const float*>(panel);
    const auto* zeros = reinterpret_cast<const int32_t*>(panel + 4 * kPanel);
    for (int64_t i = 0; i < k; ++i) {
      const uint8_t* from = bytes + 4 * kPanel * cpu::kInt8HeaderWords + i / 4 * kPanel * 4 + i % 4;
      for (int64_t c = 0; c < kPanel; ++c) {
        out[i * kPanel + c] = static_cast<float>(from[4 * c] - zeros[c]) * scales[c];
      }
    }
  } else {
    constexpr int64_t kBlockBytes = kPanel * (2 + kQ4Block / 2);
    float scales[kPanel] = {};
    for (int64_t i = 0; i < k; ++i) {
      const int64_t block = i / kQ4Block, in_block = i % kQ4Block;
      if (in_block == 0) {
        const uint16_t* stored = halves + block * kBlockBytes / 2;
        for (int64_t c = 0; c < kPanel; ++c) scales[c] = fp16_to_float(stored[c]);
      }
      const uint8_t* from =
          bytes + block * kBlockBytes + 2 * kPanel + in_block % 16 / 4 * kPanel * 4 + in_block % 4;
      const int shift = in_block < 16 ? 0 : 4;
      for (int64_t c = 0; c < kPanel; ++c) {
        const int nibble = from[4 * c] >> shift & 15;
        out[i * kPanel + c] = static_cast<float>(nibble - kQ4Zero) * scales[c];
      }
    }
  }
}

// How the tiles of a task are computed: by dot products on narrow numbers, or by the fp32 tile.
struct Tiles {
  const LinearTask& task;
  float* scratch;
  const std::byte* panels = nullptr;  // that the next tiles multiply by
  ptrdiff_t panel_bytes = 0;
  bool unpacked = false;

  // One row reads weight-only panels as they are.
  bool in_place() const { return task.format == WeightFormat::weight_only && task.rows == 1; }

  int64_t max_rows() const { return task.dot != nullptr ? task.dot->max_rows : kTileRows; }

  int64_t at_once(int64_t rows, int64_t left) const {
    return task.dot != nullptr ? task.dot->panels_at_once(rows, left) : panels_at_once(rows, left);
  }

  // `many`: more than one tile follows on these panels.
  void load(int64_t first, int64_t count, bool many) {
    const int64_t k = task.in_features;
    panels = task.panels + first * task.panel_bytes;
    panel_bytes = task.panel_bytes;
    unpacked = false;
    auto* copy = reinterpret_cast<std::byte*>(scratch);
    if (task.dot != nullptr) {
      if (!many || task.dot->unpack == nullptr) return;
      unpacked = true;
      const int64_t bytes = task.dot->unpacked_bytes(k);
      for (int64_t p = 0; p < count; ++p) {
        task.dot->unpack(panels + p * panel_bytes, k, copy + p * bytes);
      }
      panels = copy;
      panel_bytes = bytes;
    } else if (task.format != WeightFormat::f32 && !in_place()) {
      for (int64_t p = 0; p < count; ++p) {
        widen_panel(task, panels + p * panel_bytes, scratch + p * k * kPanel);
      }
      panels = copy;
      panel_bytes = k * kPanel * static_cast<ptrdiff_t>(sizeof(float));
    }
  }

  void multiply_rows(int64_t first, int64_t rows, int64_t count, float* sums,
                     ptrdiff_t sums_stride) const {
    const std::byte* x = task.x + first * task.x_stride;
    if (task.dot != nullptr) {
      const cpu::DotArgs args = {x,           task.x_stride, task.in_features, panels,
                                 panel_bytes, sums,          sums_stride};
      (unpacked ? task.dot->multiply_unpacked : task.dot->multiply)(rows, count, args);
      return;
    }
    if (in_place()) {
      for (int64_t p = 0; p < count; ++p) {
        multiply_blocks(task.blocks, panels + p * panel_bytes, task.in_features,
                        reinterpret_cast<const float*>(x), sums + p * kPanel);
      }
      return;
    }
    constexpr ptrdiff_t kFloat = sizeof(float);
    multiply(rows, count,
             {reinterpret_cast<const float*>(x), task.x_stride / kFloat,
              reinterpret_cast<const float*>(panels), panel_bytes / kFloat, task.in_features, sums,
              sums_stride});
  }
};

int64_t scratch_floats(const LinearTask& task) {
  const int64_t k = task.in_features;
  if (task.dot == nullptr) return task.format == WeightFormat::f32 ? 0 : 4 * k * kPanel;
  return task.dot->unpack != nullptr ? task.dot->unpacked_bytes(k) : 0;  // 4 panels, 4 bytes
}

// Asks for the lines that a tile will write, so that they arrive while it multiplies.
void prefetch_outputs(const LinearTask& task, int64_t row, int64_t rows, int64_t first, int64_t n) {
  constexpr int64_t kLine = 64 / sizeof(float);
  for (int64_t r = row; r < row + rows; ++r) {
    const float* out = task.out + r * task.out_stride + first;
    for (int64_t c = 0; c < n; c += kLine) __builtin_prefetch(out + c, /*rw=*/1);
  }
}

template <Activation kActivation, bool kCoarse = false>
void linear(const LinearTask& task, float* scratch) {
  HWY_ALIGN float sums[kTileRows * kMostColumns];
  const int64_t columns = task.epilogue == Epilogue::gated ? kLanes : kPanel;  // out, per panel
  Tiles tiles{task, scratch};
  const int64_t tile_rows = even_part(task.rows, tiles.max_rows());
  const bool sums_are_outputs = task.epilogue == Epilogue::store && task.bias == nullptr &&
                                kActivation == Activation::identity;
  for (int64_t p = task.first_panel; p < task.last_panel;) {
    // The last tile may be lower than the others, but all take the panels of the first.
    const int64_t taken = tiles.at_once(tile_rows, task.last_panel - p);
    tiles.load(p, taken, task.rows > tile_rows);
    const ptrdiff_t width = taken * kPanel;
    for (int64_t row = 0; row < task.rows; row += tile_rows) {
      const int64_t rows = std::min(tile_rows, task.rows - row);
      const int64_t first = p * columns;
      const int64_t n = std::min(taken * columns, task.out_cols - first);
      prefetch_outputs(task, row, rows, first, n);
      if (sums_are_outputs && n == taken * kPanel) {
        tiles.multiply_rows(row, rows, taken, task.out + row * task.out_stride + first,
                            task.out_stride);
        continue;
      }
      tiles.multiply_rows(row, rows, taken, sums, width);
      const float* bias = task.bias != nullptr ? task.bias + p * kPanel : nullptr;
      for (int64_t r = 0; r < rows; ++r) {
        finish_row<kActivation, kCoarse>(task.epilogue, sums + r * width, bias, taken,
                                         task.out + (row + r) * task.out_stride + first, n);
      }
    }
    p += taken;
  }
}

void linear_any(const LinearTask& task, float* scratch) {
  switch (task.activation) {
    case Activation::identity:
      return linear<Activation::identity>(task, scratch);
    case Activation::gelu:
      return task.coarse_activation ? linear<Activation::gelu, true>(task, scratch)
                                    : linear<Activation::gelu>(task, scratch);
    case Activation::gelu_tanh:
      return linear<Activation::gelu_tanh>(task, scratch);
    case Activation::silu:
      return linear<Activation::silu>(task, scratch);
    case Activation::relu:
      return linear<Activation::relu>(task, scratch);
    case Activation::tanh:
      return linear<Activation::tanh>(task, scratch);
  }
}

int64_t fp32_panels_at_once(int64_t rows, int64_t left) { return panels_at_once(rows, left); }

void pack_panel(const float* const* rows, int64_t k, float* panel) {
  transpose_rows(rows, kPanel, k, panel, kPanel);
}

}  // namespace

const cpu::MatrixKernels* matrix_table() {
  static const cpu::MatrixKernels kTable = {kPanel,         kTileRows,  fp32_panels_at_once,
                                            scratch_floats, linear_any, pack_panel};
  return &kTable;
}

}  // namespace ettin::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ettin {
HWY_EXPORT(matrix_table);

const cpu::MatrixKernels& cpu::matrix_kernels(int64_t targets) {
  return *pick(HWY_DISPATCH_TABLE(matrix_table), targets)();
}

}  // namespace ettin
#endif
