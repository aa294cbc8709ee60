// The vector kernels of the CPU backend as tables of functions, one table per instruction set.
//
// Each accessor returns the table of the best instruction set in `targets`, a mask of Highway
// HWY_* bits (cpu/isa.h). Everything here is single-threaded: cpu_backend.cc cuts the work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

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
  WeightBlocks blocks;                      // of weight-only panels
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

// Where the keys (or values) of one head of one sequence lie: positions before `past` in a ring of
// floats or of bf16, the others in rows of this call.
struct HeadRows {
  const float* own = nullptr;  // position `past`
  ptrdiff_t own_stride = 0;
  const float* ring = nullptr;
  const uint16_t* ring_bf16 = nullptr;
  ptrdiff_t ring_stride = 0;
  int64_t ring_rows = 1;
  int64_t past = 0;

  const float* own_at(int64_t position) const { return own + (position - past) * own_stride; }
  const float* cached(int64_t position) const { return ring + position % ring_rows * ring_stride; }
  const uint16_t* cached_bf16(int64_t position) const {
    return ring_bf16 + position % ring_rows * ring_stride;
  }
};

// A window of so few neighbours is one block of keys, not a run of blocks.
inline constexpr int64_t kWindowKeys = 256;
inline bool is_window(const AttentionSpec& spec) {
  return spec.left <= kWindowKeys && spec.right <= kWindowKeys - spec.left;
}

// Keys and values of one head in the kernels' own layout.
struct PackedHead {
  void* keys = nullptr;
  void* values = nullptr;
  int64_t first = 0;  // position of the first key: a multiple of AttentionKernels::key_step
};

// Consecutive queries of one head of one sequence.
struct AttentionTask {
  const float* queries = nullptr;
  ptrdiff_t query_stride = 0;
  int64_t rows = 0;            // at most max_rows or max_window_rows of AttentionKernels
  int64_t first_position = 0;  // of the first query
  int64_t end_position = 0;    // of the sequence: past + rows of this call
  AttentionSpec spec;
  HeadRows keys, values;
  bool bf16 = false;  // keys and values count as rounded to bf16, and rings hold bf16
  PackedHead packed;  // all keys and values that the queries see, or nothing; not with a window
  int64_t head_dim = 0;
  float* out = nullptr;
  ptrdiff_t out_stride = 0;
  float* log_sums = nullptr;  // of the exponentials of each query's scores, or null
  ptrdiff_t log_sum_stride = 0;
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

// Scratch memory is 64-byte aligned, scratch_floats(head_dim) long.
struct AttentionKernels {
  int64_t max_rows;
  int64_t max_window_rows;
  int64_t key_step;  // keys of one block
  int64_t (*scratch_floats)(int64_t head_dim);
  void (*attend)(const AttentionTask& task, float* scratch);
  // Bytes of packed keys and of packed values per position.
  std::pair<int64_t, int64_t> (*packed_bytes)(int64_t head_dim);
  // Packs positions [first, last) into task.packed; `first` is the first of all or a multiple of
  // key_step. Packing ahead changes no bit of a result.
  void (*pack)(const AttentionTask& task, int64_t first, int64_t last, float* scratch);
  // Rounds to the bf16 numbers that `attend` takes the rows of this call for.
  void (*round)(const float* x, int64_t n, uint16_t* out);
};

// Bound on the error of bf16 attention against double, relative to the largest expected magnitude,
// for queries and keys in +-4 (backend/op_cases.h: scores of some +-20, sharper than a model's). A
// score is off by about 2^-9 times the root mean square of the products q[d] k[d], whatever D: here
// 9e-3, and a weight by as much of itself; values and weights add 2^-9 each. The bound is three
// times that; the most that is seen is 2.1e-2, and 6e-3 for queries and keys in +-2.
inline constexpr double kBf16AttentionError = 2.5e-2;

struct RowKernels {
  void (*layer_norm)(const float* x, const NormWeight& norm, float* out);  // may be in place
  // Rotates one head in place.
  void (*rotate)(float* x, const float* cos, const float* sin, int64_t half);
  void (*l2_normalize)(float* x, int64_t n);
  double (*log_sum_exp)(const float* x, int64_t n);
  void (*activate)(Activation activation, const float* x, int64_t n, float* out);
  void (*exp)(const float* x, int64_t n, float* out);  // for tests
};

const MatrixKernels& matrix_kernels(int64_t targets);
// bf16: for tasks with AttentionTask::bf16, with AVX512_BF16 where `targets` and the machine have
// it. There queries and weights are rounded to bf16 as well as keys and values; sums and the
// softmax are fp32. Elsewhere the fp32 kernel reads rounded keys and values.
const AttentionKernels& attention_kernels(const IsaChoice& isa, bool bf16);
const RowKernels& row_kernels(int64_t targets);

}  // namespace ettin::cpu
