#include "backend/cpu/linear.h"

#include <algorithm>

#include "backend/cpu/pack.h"
#include "backend/cpu/regions.h"
#include "backend/cpu/scratch.h"
#include "backend/shapes.h"
#include "tensor/hadamard.h"

namespace ettin::cpu {
namespace {

constexpr int64_t kRowBlockBytes = 512 * 1024;  // stays in the second-level cache
constexpr int64_t kMinTask = 4'000;             // ns
constexpr int64_t kTasksPerThread = 16;
constexpr int64_t kRunsPerThread = 4;
constexpr int64_t kFewRows = 16;

struct PreparedRows {
  const std::byte* data;
  ptrdiff_t stride;  // bytes
};

// The rows normalised, and as the weight's format multiplies them.
PreparedRows prepare_rows(ConstView x, const NormWeight& norm, const LinearWeight& weight,
                          const DotKernels* dot, const LinearContext& context) {
  const int64_t k = x.cols;
  const bool only_rotated = weight.format == WeightFormat::q8 && weight.exact_activations;
  const bool floats = weight.format == WeightFormat::f32 || weight.exact_activations;
  if (floats && !only_rotated && !norm) {
    return {x.data, x.stride * static_cast<ptrdiff_t>(sizeof(float))};
  }
  const int64_t stride =
      dot != nullptr ? dot->row_bytes(k) : k * static_cast<int64_t>(sizeof(float));
  std::byte* data = call_scratch(x.rows * stride);
  for_rows(context.threads, x.rows, k, [&](int64_t t) {
    const float* row = x.row<float>(t);
    std::byte* to = data + t * stride;
    auto* to_floats = reinterpret_cast<float*>(to);
    if (norm) {
      float* normed = floats ? to_floats : thread_scratch(round_up(k, 16));
      context.row_kernels.layer_norm(row, norm, normed);
      row = normed;
    }
    if (floats) {
      if (!norm) std::copy_n(row, k, to_floats);
      if (only_rotated) rotate_row(std::span(to_floats, to_size(k)));
    } else if (dot != nullptr) {
      dot->prepare(row, k, to);  // may work in the same scratch memory
    } else {
      round_row(weight.format, row, k, to_floats);
    }
  });
  return {data, stride};
}

// How the work is cut into tasks: blocks of rows times groups of panels.
struct LinearCut {
  int64_t panels, block_rows, row_blocks, panel_groups;
  int64_t nanoseconds;  // an estimate of the whole on one thread
};

LinearCut cut_linear(int64_t rows, const LinearWeight& weight, int64_t tile_rows,
                     ptrdiff_t row_bytes, int64_t threads) {
  LinearCut cut;
  cut.panels = panel_count(weight);
  const int64_t fitting = kRowBlockBytes / std::max<int64_t>(1, row_bytes);
  const int64_t most = std::max<int64_t>(1, fitting / tile_rows) * tile_rows;
  const int64_t blocks = ceil_div(rows, most);
  cut.block_rows = ceil_div(ceil_div(rows, blocks), tile_rows) * tile_rows;
  cut.row_blocks = ceil_div(rows, cut.block_rows);
  // One thread does about 150 operations and reads about 15 bytes in a nanosecond.
  const int64_t weights = weight.in_features * cut.panels * weight.panel_width;
  cut.nanoseconds = std::max(2 * rows * weights / 150, weights / 15);
  // Few rows: long runs of panels for each thread, which stream through memory. Many rows: enough
  // parts for an even load, none too small to be worth handing out.
  const int64_t useful = std::max(threads, cut.nanoseconds / (cut.row_blocks * kMinTask));
  const int64_t wanted = rows <= tile_rows ? kRunsPerThread * threads
                                           : ceil_div(threads * kTasksPerThread, cut.row_blocks);
  cut.panel_groups = std::clamp<int64_t>(std::min(useful, wanted), 1, cut.panels);
  return cut;
}

}  // namespace

void linear(ConstView x, const NormWeight& norm, const LinearWeight& weight, Epilogue epilogue,
            Activation activation, View out, const LinearContext& context) {
  if (x.rows == 0) return;
  const MatrixKernels& kernels = context.kernels;
  const DotKernels* dot =
      weight.exact_activations ? nullptr : dot_kernels(context.isa, weight.format);
  const PreparedRows rows = prepare_rows(x, norm, weight, dot, context);
  const LinearCut cut =
      cut_linear(x.rows, weight, dot != nullptr ? dot->max_rows : kernels.max_rows, rows.stride,
                 context.threads.size());
  LinearTask whole;
  whole.x_stride = rows.stride;
  whole.in_features = weight.in_features;
  whole.format = weight.format;
  whole.dot = dot;
  whole.panels = weight.data->data();
  whole.panel_bytes = panel_bytes(weight.format, weight.in_features, weight.panel_width);
  whole.bias = weight.bias ? weight.bias->as<float>() : nullptr;
  whole.epilogue = epilogue;
  whole.activation = activation;
  whole.coarse_activation = weight.format != WeightFormat::f32 && !weight.exact_activations;
  whole.out_stride = out.stride;
  whole.out_cols = out.cols;
  // Many rows take their time over the weights; few wait for memory.
  const bool ahead = weight.next != nullptr && x.rows <= kFewRows;
  context.threads.read_ahead(ahead ? std::span(weight.next->data(), weight.next->size())
                                   : std::span<const std::byte>());
  for_tasks(context.threads, cut.row_blocks * cut.panel_groups, cut.nanoseconds, [&](int64_t task) {
    const int64_t first_row = task / cut.panel_groups * cut.block_rows;
    const int64_t group = task % cut.panel_groups;
    LinearTask t = whole;
    t.x = rows.data + first_row * rows.stride;
    t.rows = std::min(cut.block_rows, x.rows - first_row);
    t.first_panel = cut.panels * group / cut.panel_groups;
    t.last_panel = cut.panels * (group + 1) / cut.panel_groups;
    t.out = out.row<float>(first_row);
    kernels.linear(t, thread_scratch(kernels.scratch_floats(t)));
  });
}

}  // namespace ettin::cpu
