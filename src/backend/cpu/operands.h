// Matrices in fp32 on their way into the products of training, in words of 4 bytes.
//
// Panels are those of cpu/pack.h. Where the inner dimension is the rows of a matrix, as in
// d_weight = dy^T x, the panels hold columns of x as they lie, and rows are columns of dy.
#pragma once

#include "backend/backend.h"
#include "backend/cpu/gradient_kernels.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"

namespace ettin::cpu {

enum class Words : uint8_t {
  floats,
  rounded,  // floats that bf16 has: what it is multiplied as where a machine has no DotKernels
  pairs,    // bf16 neighbours along the inner dimension
};

struct TrainingContext {
  WeightFormat format;    // f32 or bf16
  const DotKernels* dot;  // of bf16, or null
  const MatrixKernels& matrix;
  const RowKernels& rows;
  const ElementKernels& elements;
  ThreadPool& threads;

  // What the operands are that only a product sees, and how `linear` calls such panels.
  Words words() const {
    if (format == WeightFormat::f32) return Words::floats;
    return dot != nullptr ? Words::pairs : Words::rounded;
  }
  WeightFormat panel_format() const {
    return dot != nullptr ? WeightFormat::bf16 : WeightFormat::f32;
  }
};

// Words that `count` rows of the inner dimension take.
constexpr int64_t word_count(Words words, int64_t count) {
  return words == Words::pairs ? (count + 1) / 2 : count;
}

// Where rows [first, first + count) of a matrix whose rows are the inner dimension are written.
struct PanelsOut {
  float* panels;        // [columns / width][k words][width]
  int64_t panel_words;  // from one panel to the next
  int64_t first_word;   // of these rows
};
struct ColumnsOut {
  float* rows;     // [columns][stride]
  int64_t stride;  // words
  int64_t first_word;
};

// `rows`: pointers to `count` rows of n floats. With pairs, count is even but for the last rows.
// Works in thread-local memory of its own.
void write_panels(const TrainingContext& context, Words words, const float* const* rows,
                  int64_t count, int64_t n, const PanelsOut& out);
void write_columns(const TrainingContext& context, Words words, const float* const* rows,
                   int64_t count, int64_t n, const ColumnsOut& out);

// Gradients::pack of a matrix.
void pack_master(const TrainingContext& context, ConstView master, ConstView bias,
                 LinearWeight* weight, LinearWeight* transposed);

}  // namespace ettin::cpu
