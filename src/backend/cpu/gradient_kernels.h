// The vector kernels of training as tables of functions, one table per instruction set; as
// cpu/kernels.h, which has the products. Single-threaded.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"

namespace ettin::cpu {

// sum of exp(x - largest) over a run of x.
struct ExponentialSum {
  float largest;
  double sum;
};

// Sums over rows that layer_norm_backward adds one row to: [H] each.
struct NormGradient {
  float* gain;
  float* bias;  // or null
};

// Rows of n floats. An output may be the input of the same type of gradient where Gradients says
// so.
struct ElementKernels {
  void (*gate)(Activation activation, const float* u1, const float* u2, int64_t n, float* out);
  void (*gate_backward)(Activation activation, const float* u1, const float* u2, const float* dy,
                        int64_t n, float* d1, float* d2);
  void (*activate_backward)(Activation activation, const float* x, const float* dy, int64_t n,
                            float* dx);
  // With the key of dropout_key() and the threshold of dropout_threshold() (backend/dropout.h).
  void (*dropout)(uint64_t key, uint32_t threshold, float scale, const float* x, int64_t n,
                  bool add, float* out);
  void (*add)(const float* x, int64_t n, float* out);                     // out += x
  void (*multiply)(const float* x, float factor, int64_t n, float* out);  // out = factor x
  // One row; with `add`, dx grows.
  void (*layer_norm_backward)(const float* x, const NormWeight& norm, const float* dy, bool add,
                              float* dx, NormGradient gradient);
  ExponentialSum (*exponentials)(float* x, int64_t n);  // x becomes exp(x - largest)

  // Operands of products whose inner dimension is the rows (cpu/operands.h), in words of 4 bytes.
  void (*round_bf16)(const float* x, int64_t n, float* out);  // rounded, as floats
  // Words of (even[i], odd[i]) rounded to bf16, even below.
  void (*pair_bf16)(const float* even, const float* odd, int64_t n, float* out);
  // Words of neighbours of one row; of an odd n the last is paired with 0.
  void (*neighbours_bf16)(const float* x, int64_t n, float* out);
  // to[i * stride + c] = rows[c][i] for i < k and c < count.
  void (*transpose)(const float* const* rows, int64_t count, int64_t k, float* to, int64_t stride);
};

const ElementKernels& element_kernels(int64_t targets);

// One head of one sequence: the gradients of keys [first_key, last_key), and what they add to the
// gradients of the queries that see them. Rows are counted from the sequence's start.
struct AttentionGradientTask {
  const float* queries = nullptr;  // row 0 of the sequence, the head's columns; so are the others
  const float* keys = nullptr;
  const float* values = nullptr;
  ptrdiff_t stride = 0;  // of the three above
  const float* dy = nullptr;
  ptrdiff_t dy_stride = 0;
  const float* log_sums = nullptr;  // of query q at q * log_sum_stride
  ptrdiff_t log_sum_stride = 0;
  const float* out = nullptr;
  ptrdiff_t out_stride = 0;
  AttentionSpec spec;
  int64_t length = 0;  // of the sequence
  int64_t head_dim = 0;
  int64_t first_key = 0, last_key = 0;
  int64_t first_query = 0, last_query = 0;  // all that see one of the keys
  float* d_queries = nullptr;               // of first_query; written, not added to
  ptrdiff_t d_query_stride = 0;
  float* d_keys = nullptr;  // of row 0
  float* d_values = nullptr;
  ptrdiff_t d_stride = 0;  // of the two above
};

struct AttentionGradientKernels {
  int64_t (*scratch_floats)(const AttentionGradientTask& task);
  void (*backward)(const AttentionGradientTask& task, float* scratch);  // 64-byte aligned scratch
};

const AttentionGradientKernels& attention_gradient_kernels(int64_t targets);

}  // namespace ettin::cpu
