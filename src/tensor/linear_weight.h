// Weights as a backend keeps them. The storage format belongs to the weight, not to the model: a
// matrix may be fp32 today and 4-bit blocks tomorrow, and nothing above the backend notices.
#pragma once

#include <cstdint>
#include <memory>

#include "tensor/buffer.h"
#include "tensor/weight_format.h"

namespace ettin {

// How the elements of a matrix lie in memory; the backend that packed a matrix reads it.
enum class WeightLayout : uint8_t {
  row_major,  // [out_features, in_features], as PyTorch's Linear
  panels,     // panels of `panel_width` output features, as backend/cpu/pack.h describes them
};

// One matrix [out_features, in_features] with an optional bias [out_features].
struct LinearWeight {
  int64_t out_features = 0;
  int64_t in_features = 0;
  WeightFormat format = WeightFormat::f32;
  bool exact_activations = false;  // rows stay fp32 instead of being rounded as the format says
  WeightBlocks blocks;             // weight-only
  // int8: all rows of a call are rounded by one scale, as ONNX Runtime does with its batch of one;
  // otherwise every row has its own.
  bool one_scale = false;
  WeightLayout layout = WeightLayout::row_major;
  int32_t panel_width = 0;  // panels only; the last panel is padded with zero columns
  bool gated = false;       // packed for Epilogue::gated: activated and gate rows interleaved
  std::shared_ptr<const Buffer> data;
  std::shared_ptr<const Buffer> bias;  // in the backend's activation type, or null
  // The matrix that a forward multiplies by next, or null: a hint for reading ahead.
  const Buffer* next = nullptr;

  explicit operator bool() const { return data != nullptr; }
};

// Gain and optional bias of a LayerNorm, in the backend's activation type.
struct NormWeight {
  int64_t size = 0;
  double eps = 1e-5;
  std::shared_ptr<const Buffer> gain;
  std::shared_ptr<const Buffer> bias;  // or null

  explicit operator bool() const { return gain != nullptr; }
};

}  // namespace ettin
