// `linear`: tiles, then the epilogue on the tile while it is in the first-level cache.
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/matrix.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "backend/cpu/dispatch.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/math-inl.h"
#include "backend/cpu/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ettin::HWY_NAMESPACE {
namespace {

using cpu::LinearTask;

constexpr int64_t kMostColumns = 4 * kPanel;

// One row of raw sums, `panels` panels wide, to n <= panels * kPanel outputs (half for gated).
template <Activation kActivation>
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
        hn::StoreU(vec_activate<kActivation>(y(c)), d, to + c);
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
        hn::StoreU(hn::Mul(vec_activate<kActivation>(y(2 * c)), y(2 * c + kLanes)), d, to + c);
      }
      break;
  }
  if (to == whole) std::copy(whole, whole + n, out);
}

template <Activation kActivation>
void linear(const LinearTask& task) {
  HWY_ALIGN float sums[kTileRows * kMostColumns];
  const int64_t k = task.in_features, panel_size = k * kPanel;
  const int64_t columns = task.epilogue == Epilogue::gated ? kLanes : kPanel;  // out, per panel
  const int64_t tile_rows = even_tile_rows(task.rows);
  for (int64_t p = task.first_panel; p < task.last_panel;) {
    int64_t taken = 1;
    for (int64_t row = 0; row < task.rows; row += tile_rows) {
      const int64_t rows = std::min(tile_rows, task.rows - row);
      // The last tile may be lower than the others, but all take the panels of the first.
      taken = panels_at_once(tile_rows, task.last_panel - p);
      const ptrdiff_t width = taken * kPanel;
      multiply<false>(rows, taken,
                      {task.x + row * task.x_stride, task.x_stride, task.panels + p * panel_size,
                       panel_size, k, sums, width});
      const int64_t first = p * columns;
      const int64_t n = std::min(taken * columns, task.out_cols - first);
      const float* bias = task.bias != nullptr ? task.bias + p * kPanel : nullptr;
      for (int64_t r = 0; r < rows; ++r) {
        finish_row<kActivation>(task.epilogue, sums + r * width, bias, taken,
                                task.out + (row + r) * task.out_stride + first, n);
      }
    }
    p += taken;
  }
}

void linear_any(const LinearTask& task) {
  switch (task.activation) {
    case Activation::identity:
      return linear<Activation::identity>(task);
    case Activation::gelu:
      return linear<Activation::gelu>(task);
    case Activation::gelu_tanh:
      return linear<Activation::gelu_tanh>(task);
    case Activation::silu:
      return linear<Activation::silu>(task);
    case Activation::relu:
      return linear<Activation::relu>(task);
    case Activation::tanh:
      return linear<Activation::tanh>(task);
  }
}

void pack_panel(const float* const* rows, int64_t k, float* panel) {
  transpose_rows(rows, kPanel, k, panel);
}

}  // namespace

const cpu::MatrixKernels* matrix_table() {
  static const cpu::MatrixKernels kTable = {hwy::TargetName(HWY_TARGET), kPanel, kTileRows,
                                            linear_any, pack_panel};
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
