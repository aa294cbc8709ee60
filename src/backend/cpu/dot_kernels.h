// Matrix products on 4-byte groups of narrow numbers, for CPUs with AVX-512 VNNI and BF16. A format
// that has none here runs on the fp32 tile: rows and panels are widened first (matrix.cc).
//
// Every output is one chain in the order of k (bf16: vdpbf16ps over pairs; q4: fused multiply-adds
// over blocks of exact integer sums; q8 and int8: one exact integer sum), whatever the tile:
// results do not depend on the batch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cpu/isa.h"
#include "tensor/quantize.h"
#include "tensor/weight_format.h"

namespace ettin::cpu {

// Rows prepared by DotKernels::prepare and panels in the layout of cpu/pack.h.
struct DotArgs {
  const std::byte* x = nullptr;
  ptrdiff_t x_stride = 0;  // bytes
  int64_t k = 0;
  const std::byte* panels = nullptr;
  ptrdiff_t panel_bytes = 0;  // from one panel to the next
  float* sums = nullptr;      // [rows, panels * 32]
  ptrdiff_t sums_stride = 0;
};

struct DotKernels {
  int64_t max_rows;  // of a tile
  // Panels that one tile of so many rows takes.
  int64_t (*panels_at_once)(int64_t rows, int64_t left);
  // Bytes of a prepared row.
  int64_t (*row_bytes)(int64_t k);
  // Rotates and rounds a row as the format says. x may lie at the start of thread_scratch.
  void (*prepare)(const float* x, int64_t k, std::byte* row);
  // int8: the same with a scale that is given; null of other formats.
  void (*prepare_scaled)(const float* x, int64_t k, ByteScale scale, std::byte* row);
  // sums = rows times panels, scales included. rows <= max_rows, panels from panels_at_once.
  void (*multiply)(int64_t rows, int64_t panels, const DotArgs& args);
  // For many tiles on the same panel: a wider copy that multiply_unpacked reads, or null.
  int64_t (*unpacked_bytes)(int64_t k);
  void (*unpack)(const std::byte* panel, int64_t k, std::byte* out);
  void (*multiply_unpacked)(int64_t rows, int64_t panels, const DotArgs& args);
};

// Null where the format has no kernel for the instruction sets that may be used.
const DotKernels* dot_kernels(const IsaChoice& isa, WeightFormat format);

}  // namespace ettin::cpu
