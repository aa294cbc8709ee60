// What a forward pass keeps so that its backward can follow.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/gradients.h"
#include "base/arena.h"
#include "model/config.h"
#include "tensor/view.h"

namespace ettin {

// Of one layer. Without a tape all three states of the residual stream are one view.
struct LayerTape {
  View input;     // (T, H)  residual stream before the layer
  View qkv;       // (T, 3H) rotated
  View log_sums;  // (T, A)  of attention's scores
  View seen;      // (T, H)  what attention returned
  View middle;    // (T, H)  residual stream between attention and MLP
  View up;        // (T, 2I) before gating
  View output;    // (T, H)  residual stream after the layer: the next one's input
};

struct Tape {
  const Gradients* ops = nullptr;
  ConstView token_embedding = {};  // master weights [V, H]: looked up unrounded
  double attention_out_dropout = 0;
  std::span<const uint64_t> row_keys = {};  // [T], for dropout; may be empty without it
  // Keep of each layer its input only, and compute the layer again when its backward comes.
  bool recompute = false;
  bool pad_row_quirk = false;  // row 0 of the embedding gets no gradient from lookups

  // Filled by the forward, in its arena.
  View embedded = {};  // (T, H) before the embedding norm
  std::vector<LayerTape> layers =
      {};          // [L]; with recompute all but `input` and `output` are shared
  View last = {};  // (T, H) before the final norm

  Dropout dropout(int64_t layer) const {
    return {attention_out_dropout, row_keys, static_cast<uint64_t>(layer)};
  }
};

}  // namespace ettin
