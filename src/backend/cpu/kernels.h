// The vector kernels of the CPU backend as tables of functions, one table per instruction set.
//
// Each accessor returns the table of the best instruction set in `targets`, a mask of Highway
// HWY_* bits (cpu/isa.h). Everything here is single-threaded: cpu_backend.cc cuts the work.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"
#include "backend/cpu/dot_kernels.h"

namespace ettin::cpu {

// Rows of x times some panels of a packed matrix. Columns [panel * width, ...) of the output; for
// Epilogue::gated each panel yields width / 2 columns.
struct LinearTask {
  // With `dot`, rows as DotKernels::prepare writes them; else fp32.
  const std::byte* x = nullptr;
  ptrdiff_t x_stride = 0;  // bytes
  int64_t rows = 0;
  int64_t in_features = 0;
  WeightFormat format = WeightFormat::f32;  // of the panels
  const DotKernels* dot = nullptr;          // null: panels are widened to fp32 where they are not
  const std::byte* panels = nullptr;        // of the whole matrix
  ptrdiff_t panel_bytes = 0;
  const float* bias = nullptr;  // padded to whole panels, in panel order, or null
  int64_t first_panel = 0;
  int64_t last_panel = 0;
  Epilogue epilogue = Epilogue::store;
  Activation activation = Activation::identity;
  bool coarse_activation = false;  // gelu with an error below 2.5e-5 + 6e-6 |x|
  float* out = nullptr;
  ptrdiff_t out_stride = 0;
  int64_t out_cols = 0;
};

// Where the keys (or values) of one head of one sequence lie: positions before `past` in a ring,
// the others in rows of this call.
struct HeadRows {
  const float* own = nullptr;  // position `past`
  ptrdiff_t own_stride = 0;
  const float* ring = nullptr;
  ptrdiff_t ring_stride = 0;
  int64_t ring_rows = 1;
  int64_t past = 0;

  const float* at(int64_t position) const {
    return position >= past ? own + (position - past) * own_stride
                            : ring + position % ring_rows * ring_stride;
  }
};

// Consecutive queries of one head of one sequence.
struct AttentionTask {
  const float* queries = nullptr;
  ptrdiff_t query_stride = 0;
  int64_t rows = 0;            // <= AttentionKernels::max_rows
  int64_t first_position = 0;  // of the first query
  int64_t end_position = 0;    // of the sequence: past + rows of this call
  AttentionSpec spec;
  HeadRows keys, values;
  int64_t head_dim = 0;
  float* out = nullptr;
  ptrdiff_t out_stride = 0;
};

struct MatrixKernels {
  int64_t panel_width;  // output features per panel: two vectors
  int64_t max_rows;     // of a register tile
  // Panels that one tile of so many rows takes, of those that are left.
  int64_t (*panels_at_once)(int64_t rows, int64_t left);
  // Floats of scratch memory that `linear` needs for a task.
  int64_t (*scratch_floats)(const LinearTask& task);
  void (*linear)(const LinearTask& task, float* scratch);  // 64-byte aligned scratch
  // panel[i * panel_width + c] = rows[c][i] for i < k and c < panel_width.
  void (*pack_panel)(const float* const* rows, int64_t k, float* panel);
};

struct AttentionKernels {
  int64_t max_rows;
  int64_t (*scratch_floats)(int64_t head_dim);
  void (*attend)(const AttentionTask& task, float* scratch);  // 64-byte aligned scratch
};

struct RowKernels {
  void (*layer_norm)(const float* x, const float* gain, const float* bias, float eps, int64_t n,
                     float* out);
  // Rotates one head in place.
  void (*rotate)(float* x, const float* cos, const float* sin, int64_t half);
  void (*l2_normalize)(float* x, int64_t n);
  double (*log_sum_exp)(const float* x, int64_t n);
  void (*activate)(Activation activation, const float* x, int64_t n, float* out);  // for tests
  void (*exp)(const float* x, int64_t n, float* out);                              // for tests
};

const MatrixKernels& matrix_kernels(int64_t targets);
const AttentionKernels& attention_kernels(int64_t targets);
const RowKernels& row_kernels(int64_t targets);

}  // namespace ettin::cpu
