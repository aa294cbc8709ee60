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

// int8 with one scale for all rows, which takes a look at all of them first.
PreparedRows prepare_by_one_scale(ConstView x, const NormWeight& norm, const DotKernels* dot,
                                  ptrdiff_t stride, const LinearContext& context) {
  const int64_t k = x.cols, padded = round_up(k, 16);
  const auto floats = static_cast<int64_t>(sizeof(float));
  // Prepared rows, normalised rows, and the range of each.
  std::byte* data =
      call_scratch(x.rows * (stride + padded * floats) + round_up(x.rows, 8) * 2 * floats);
  auto* normed = reinterpret_cast<float*>(data + x.rows * stride);
  float* ranges = normed + x.rows * padded;
  for_rows(context.threads, x.rows, k, [&](int64_t t) {
    float* row = normed + t * padded;
    if (norm) {
      context.row_kernels.layer_norm(x.row<float>(t), norm, row);
    } else {
      std::copy_n(x.row<float>(t), k, row);
    }
    const auto [lo, hi] = range_with_zero({row, to_size(k)});
    ranges[2 * t] = lo;
    ranges[2 * t + 1] = hi;
  });
  float lo = 0, hi = 0;
  for (int64_t t = 0; t < x.rows; ++t) {
    lo = std::min(lo, ranges[2 * t]);
    hi = std::max(hi, ranges[2 * t + 1]);
  }
  const ByteScale scale = byte_scale(lo, hi);
  for_rows(context.threads, x.rows, k, [&](int64_t t) {
    std::byte* to = data + t * stride;
    if (dot != nullptr) {
      dot->prepare_scaled(normed + t * padded, k, scale, to);
    } else {
      round_row_bytes(scale, normed + t * padded, k, reinterpret_cast<float*>(to));
    }
  });
  return {data, stride};
}

// The rows normalised, and as the weight's format multiplies them.
PreparedRows prepare_rows(ConstView x, const NormWeight& norm, const LinearWeight& weight,
                          const DotKernels* dot, const LinearContext& context) {
  const int64_t k = x.cols;
  const bool only_rotated = weight.format == WeightFormat::q8 && weight.exact_activations;
  const bool floats = weight.format == WeightFormat::f32 ||
                      weight.format == WeightFormat::weight_only || weight.exact_activations;
  const bool one_scale = weight.one_scale && weight.format == WeightFormat::int8 && !floats;
  if (floats && !only_rotated && !norm) {
    return {x.data, x.stride * static_cast<ptrdiff_t>(sizeof(float))};
  }
  const int64_t stride =
      dot != nullptr ? dot->row_bytes(k) : k * static_cast<int64_t>(sizeof(float));
  if (one_scale) return prepare_by_one_scale(x, norm, dot, stride, context);
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
  whole.panel_bytes = panel_bytes(weight);
  whole.bias = weight.bias ? weight.bias->as<float>() : nullptr;
  whole.epilogue = epilogue;
  whole.activation = activation;
  whole.blocks = weight.blocks;
  whole.coarse_activation =
      (weight.format == WeightFormat::bf16 || weight.format == WeightFormat::q8 ||
       weight.format == WeightFormat::q4) &&
      !weight.exact_activations;
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
