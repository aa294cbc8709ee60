// The operations of training: the backward of every operation in backend/backend.h, and forms of
// the forward that keep what their backward needs. A backend that can train gives them as
// Backend::gradients().
//
// Contract, for every backend:
//  - dX means the gradient of the loss by X and has X's shape. Gradients of activations are
//    written; gradients of weights (d_weight, d_gain, d_bias) are added to what is there, so that
//    the microbatches of a step sum up.
//  - Correctness is defined by `ref` in double, over the cases in backend/gradient_cases.h; `ref`
//    itself is checked against finite differences.
//  - The bits of every output are a function of the inputs, not of the number of threads: sums over
//    rows run in the order of the rows, or over blocks of rows that do not depend on threads.
//  - With bf16 weights products read operands rounded to bf16 and sum in fp32; everything else is
//    fp32. Master weights and gradients are in the activation type (fp32; double in `ref`).
//  - Shapes are preconditions checked with ETTIN_CHECK.
//  - Thread safety: as Backend's.
//
// Letters as in backend/backend.h; I is the width of the gated product.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "backend/attention_spec.h"
#include "backend/backend.h"
#include "tensor/linear_weight.h"
#include "tensor/view.h"

namespace ettin {

// Which elements dropout keeps is a pure function of a row's key and the column, so it depends on
// no batch, thread or resume: see dropout_keeps() in backend/dropout.h.
struct Dropout {
  // In [0, 1): the share of elements that become 0; the others are multiplied by 1 / (1 - rate).
  double rate = 0;
  std::span<const uint64_t> row_keys;  // [T]
  uint64_t stream = 0;                 // tells the places of one network apart: the layer
};

// What Gradients::cross_entropy reads and writes; `weight` and `transposed` outlive the call.
struct CrossEntropy {
  ConstView x = {};                          // [M, H]
  const LinearWeight& weight;                // [V, H]
  const LinearWeight& transposed;            // [H, V]
  std::span<const int32_t> targets = {};     // [M], each in [0, V)
  double scale = 1;                          // of the gradients, not of the losses
  std::span<double> losses = {};             // [M]
  std::span<uint8_t> best = {};              // [M], or empty
  View dx = {}, d_weight = {}, d_bias = {};  // [M, H], [V, H], [1, V]
};

class Gradients {
 public:
  virtual ~Gradients() = default;

  // --- weights that change ---------------------------------------------------------------------
  // `weight` becomes the packed form of `master` [out, in] for y = x W^T + b, `transposed` that of
  // its transpose, for dx = dy W; a null pointer is left out. A weight of the same shape that this
  // call packed before is refilled where it lies: its copies see the new contents, so nobody may
  // read one meanwhile. Buffers that others made are replaced. bias [1, out] or empty.
  virtual void pack(ConstView master, ConstView bias, LinearWeight* weight,
                    LinearWeight* transposed) const = 0;
  // gain, bias [1, H]; bias may be empty.
  virtual void pack(ConstView gain, ConstView bias, double eps, NormWeight* norm) const = 0;

  // --- forward that keeps ----------------------------------------------------------------------
  // out[t] = table[ids[t]] of the master weights, unrounded.  table [V, H], out [T, H]
  virtual void embed(ConstView table, std::span<const int32_t> ids, View out) const = 0;
  // As Backend::attention without caches. log_sums[t, a] = log(sum(exp(score))) over the keys that
  // t sees in head a, of scores already scaled by 1 / sqrt D.  qkv [T, 3H], out [T, H], log_sums
  // [T, A]
  virtual void attention(ConstView qkv, std::span<const int64_t> starts, AttentionSpec spec,
                         int64_t heads, View out, View log_sums) const = 0;
  // out = activation(u1) * u2 for x = [u1 | u2].  x [T, 2I], out [T, I]
  virtual void gate(ConstView x, Activation activation, View out) const = 0;
  // out = activation(x).  x, out [T, H], may alias
  virtual void activate(ConstView x, Activation activation, View out) const = 0;
  // out = or += dropout(x): its own backward, applied to a gradient.  x, out [T, H], may alias
  virtual void dropout(ConstView x, const Dropout& dropout, Epilogue store_or_add,
                       View out) const = 0;

  // --- backward --------------------------------------------------------------------------------
  // Of linear: dx = dy W is Backend::linear with the transposed weight. Here the rest:
  // d_weight += dy^T norm(x); an empty norm changes nothing.  dy [T, out], x [T, in],
  // d_weight [out, in]
  virtual void linear_weight_backward(ConstView dy, ConstView x, const NormWeight& norm,
                                      View d_weight) const = 0;
  // d_bias += sum of the rows of dy.  dy [T, out], d_bias [1, out]
  virtual void linear_bias_backward(ConstView dy, View d_bias) const = 0;
  // dx = or += the gradient through layer_norm; d_gain, d_bias [1, H] grow, d_bias may be empty.
  // x, dy, dx [T, H]; dx may alias dy
  virtual void layer_norm_backward(ConstView x, const NormWeight& norm, ConstView dy,
                                   Epilogue store_or_add, View dx, View d_gain,
                                   View d_bias) const = 0;
  // x, dx [T, 2I], dy [T, I]
  virtual void gate_backward(ConstView x, Activation activation, ConstView dy, View dx) const = 0;
  // dx = activation'(x) * dy; dx may alias dy.  all [T, H]
  virtual void activate_backward(ConstView x, Activation activation, ConstView dy,
                                 View dx) const = 0;
  // Rotates the query and key parts of d_qkv [T, 3H] back, in place.
  virtual void rope_backward(View d_qkv, std::span<const int32_t> positions, const RopeTable& table,
                             int64_t heads) const = 0;
  // qkv, out and log_sums as attention() above read and wrote them.  dy [T, H], d_qkv [T, 3H]
  virtual void attention_backward(ConstView qkv, std::span<const int64_t> starts,
                                  AttentionSpec spec, int64_t heads, ConstView out,
                                  ConstView log_sums, ConstView dy, View d_qkv) const = 0;
  // d_table[ids[t]] += dx[t], in the order of t.  dx [T, H], d_table [V, H]
  virtual void embed_backward(ConstView dx, std::span<const int32_t> ids, View d_table) const = 0;
  // dx[rows[m]] += dy[m], in the order of m.  dy [M, H], dx [T, H]
  virtual void gather_rows_backward(ConstView dy, std::span<const int64_t> rows, View dx) const = 0;
  // dx[t] = its share of the gradient of its sequence's pooled row.  dy [N, H], dx [T, H]
  virtual void pool_backward(ConstView dy, std::span<const int64_t> starts, Pooling pooling,
                             View dx) const = 0;

  // --- the loss --------------------------------------------------------------------------------
  // losses[m] = log(sum(exp(y[m]))) - y[m][targets[m]] for y = x W^T + b, forward and backward in
  // one pass over blocks of rows, so that M x V logits never exist:
  // dx = scale * (softmax(y) - onehot(targets)) W, and d_weight, d_bias grow by scale times theirs.
  // best[m] = 1 where no logit is larger than the target's, else 0; best may be empty.
  // With an empty dx no gradients are computed. d_bias may be empty. With bf16 weights the
  // gradient of the logits, scale included, is rounded for both products and not for d_bias.
  virtual void cross_entropy(const CrossEntropy& call) const = 0;
};

}  // namespace ettin
