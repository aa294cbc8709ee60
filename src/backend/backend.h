// The page of operations that a forward pass is made of: the only polymorphic interface in ettin.
//
// Contract of every operation, for every backend and storage format:
//  - Invariance. A row of the output depends only on the rows that the operation is defined to read
//    for it, and is computed in an order that is a function of those rows alone. So the bits of a
//    sequence's result do not depend on what else is in the batch, on the order of the batch, on
//    the number of threads, or on whether its keys came from a cache.
//  - Correctness is defined by the `ref` backend in double; every other backend is compared with it
//    over the table in backend/op_cases.h, with the bound stated there.
//  - Shapes are preconditions checked with ETTIN_CHECK: the model layer guarantees them, files and
//    users cannot reach them. Views have the backend's activation type unless said otherwise.
//  - Thread safety: const methods may run concurrently on different outputs. A backend owns or
//    borrows the thread pool that the models of the process share.
//
// Letters: T rows (tokens of a ragged batch), N sequences, H hidden size, A heads, D = H/A,
// V vocabulary, M wanted rows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "backend/attention_spec.h"
#include "backend/kv_view.h"
#include "base/arena.h"
#include "base/thread_pool.h"
#include "ettin/status.h"
#include "tensor/linear_weight.h"
#include "tensor/stored_matrix.h"
#include "tensor/stored_tensor.h"
#include "tensor/view.h"

namespace ettin {

class Gradients;

// gelu: 0.5 x (1 + erf(x / sqrt 2)). gelu_tanh: the tanh approximation (Hendrycks, Gimpel 2016).
// silu: x / (1 + exp(-x)).
enum class Activation : uint8_t { identity, gelu, gelu_tanh, silu, relu, tanh };

// What `linear` does with y = x W^T + b before it is stored.
enum class Epilogue : uint8_t {
  store,  // out = activation(y)
  add,    // out += y: the residual stream; activation must be identity
  gated,  // y = [u1 | u2], out = activation(u1) * u2; out has out_features / 2 columns
};

enum class Pooling : uint8_t { mean, cls, last, weighted_mean };

// Row blocks that are stacked into one matrix: Wqkv, or q_proj, k_proj, v_proj in that order.
struct MatrixSource {
  std::vector<StoredMatrix> blocks;              // each [out_i, in_features]
  std::vector<const StoredTensor*> bias_blocks;  // each [out_i], or empty: no bias
  // What the same backend packed from the same blocks, in the same format, before
  // (LinearWeight::data), from a cache; or null. Taken when its size is right.
  std::shared_ptr<const Buffer> packed = nullptr;
  std::optional<WeightFormat> format = std::nullopt;  // to pack in; absent: the backend's own
};

enum class MatrixUse : uint8_t {
  linear,     // only `linear` reads it
  gated,      // only `linear` with Epilogue::gated reads it
  embedding,  // `embed` gathers its rows and `linear` multiplies by it (tied vocabulary projection)
};

// cos and sin of angle = position / theta^(2k/D) for k < D/2. Built in the activation type with the
// operation order of reference implementations: e = 2k/D, inv = 1 / pow(theta, e), angle = p * inv,
// each rounded.
struct RopeTable {
  int64_t positions = 0;
  int64_t head_dim = 0;
  std::shared_ptr<const Buffer> cos, sin;  // [positions, head_dim / 2]
};

struct TokenLogit {
  int32_t id = 0;
  double logit = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;  // "ref", "cpu"
  virtual std::string_view isa() const = 0;   // instruction set in use, e.g. "AVX3"
  virtual Dtype activation_dtype() const = 0;
  // That pack_matrix rounds to, unless the source names another.
  virtual WeightFormat format() const = 0;
  // Element type of cached keys and values.
  virtual Dtype cache_dtype() const { return activation_dtype(); }
  virtual ThreadPool& threads() const = 0;
  // What training needs (backend/gradients.h), or null: this backend, or its format, cannot train.
  // Lives as long as the backend.
  virtual const Gradients* gradients() const { return nullptr; }

  // --- once, at load ---------------------------------------------------------------------------
  // Copies the matrix into the backend's own layout, widening or rounding to its storage format.
  // Precondition: a block that is stored as q8 or q4 is not packed as the other of the two.
  virtual LinearWeight pack_matrix(const MatrixSource& source, MatrixUse use) const = 0;
  virtual NormWeight pack_norm(const StoredTensor& gain, const StoredTensor* bias,
                               double eps) const = 0;
  // `weight` (packed with MatrixUse::embedding) as a matrix of its own bias: shares the elements.
  virtual LinearWeight with_bias(const LinearWeight& weight, const StoredTensor& bias) const = 0;
  virtual RopeTable make_rope_table(double theta, int64_t head_dim, int64_t positions) const = 0;

  // --- memory ----------------------------------------------------------------------------------
  // Uninitialised [rows, cols] in the activation type, valid as long as the arena's allocation.
  virtual View allocate(Arena& arena, int64_t rows, int64_t cols) const = 0;
  virtual void copy_to_host(ConstView from, std::span<float> out) const = 0;  // rows * cols values
  virtual void copy_to_host(ConstView from, std::span<double> out) const = 0;

  // --- forward ---------------------------------------------------------------------------------
  // out[t] = table[ids[t]].  ids in [0, V).  out [T, H]
  virtual void embed(const LinearWeight& table, std::span<const int32_t> ids, View out) const = 0;
  // out = (x - mean) / sqrt(var + eps) * gain + bias; biased variance.  x, out [T, H], may alias
  virtual void layer_norm(ConstView x, const NormWeight& norm, View out) const = 0;
  // y = norm(x) W^T + b, then the epilogue; an empty norm changes nothing, any other gives the bits
  // that layer_norm before it would.  x [T, in], out [T, out or out / 2]; must not alias
  virtual void linear(ConstView x, const NormWeight& norm, const LinearWeight& weight,
                      Epilogue epilogue, Activation activation, View out) const = 0;
  void linear(ConstView x, const LinearWeight& weight, Epilogue epilogue, Activation activation,
              View out) const {
    linear(x, NormWeight(), weight, epilogue, activation, out);
  }
  // Rotates the query and key parts of qkv [T, 3H] in place: half rotation over the whole head.
  virtual void rope(View qkv, std::span<const int32_t> positions, const RopeTable& table,
                    int64_t heads) const = 0;
  // out[t] = softmax(q k^T / sqrt D) v over the keys that `spec` lets t see: rows of its own
  // sequence and, when caches are given (one per sequence), the cached positions before them. Row r
  // of sequence n has position caches[n].past + r.  qkv [T, 3H], starts [N + 1], out [T, H]
  virtual void attention(ConstView qkv, std::span<const int64_t> starts, AttentionSpec spec,
                         int64_t heads, std::span<const KvView> caches, View out) const = 0;
  // Stores the key and value parts of qkv at positions past, past + 1, ... of each cache. Does not
  // change `past`.
  virtual void kv_append(ConstView qkv, std::span<const int64_t> starts,
                         std::span<const KvView> caches) const = 0;
  // out[m] = x[rows[m]].  out [M, H]
  virtual void gather_rows(ConstView x, std::span<const int64_t> rows, View out) const = 0;
  // One row per sequence. mean: average of its rows; cls: first; last: last; weighted_mean: weights
  // 1, 2, 3, ...  x [T, H], starts [N + 1], out [N, H]
  virtual void pool(ConstView x, std::span<const int64_t> starts, Pooling pooling,
                    View out) const = 0;
  // x[t] /= max(||x[t]||, 1e-12), in place.
  virtual void l2_normalize(View x) const = 0;

  // --- reductions of logits, to the host -------------------------------------------------------
  // out[m] = log(sum(exp(logits[m]))).  logits [M, V], out [M]
  virtual void log_sum_exp(ConstView logits, std::span<double> out) const = 0;
  // The k largest of each row, descending, ties to the lower id; k <= V.  out [M * k]
  virtual void top_k(ConstView logits, int64_t k, std::span<TokenLogit> out) const = 0;
};

struct BackendOptions {
  std::string_view name = "cpu";
  // Of the matrices that it packs. fp64 is for `ref` alone, and is its activation type too; with
  // every other format activations are fp32 between operations.
  WeightFormat format = WeightFormat::f32;
  bool exact_activations = false;  // q4, q8, bf16: multiply fp32 rows, do not round them
  bool int8_one_scale = false;     // int8: one scale for all rows of a call (LinearWeight)
  int threads = 0;                 // 0: the CPUs this process may run on
};

// Error for an unknown name or a type the backend does not compute in, naming the choices.
Result<std::shared_ptr<const Backend>> make_backend(const BackendOptions& options);

}  // namespace ettin
