// Preconditions of Gradients that every backend checks in the same words, and the buffers that
// pack() may fill again.
#pragma once

#include <memory>
#include <span>

#include "backend/gradients.h"
#include "backend/shapes.h"

namespace ettin {

inline void check_shape(ConstView v, int64_t rows, int64_t cols) {
  ETTIN_CHECK(v.data != nullptr && v.rows == rows && v.cols == cols);
}
inline void check_shape_or_empty(ConstView v, int64_t rows, int64_t cols) {
  if (v.data != nullptr) check_shape(v, rows, cols);
}

inline void check_store_or_add(Epilogue epilogue) {
  ETTIN_CHECK(epilogue == Epilogue::store || epilogue == Epilogue::add);
}

inline void check_dropout(ConstView x, const Dropout& dropout, Epilogue epilogue, ConstView out) {
  check_store_or_add(epilogue);
  ETTIN_CHECK(out.rows == x.rows && out.cols == x.cols);
  ETTIN_CHECK(dropout.rate >= 0 && dropout.rate < 1);
  ETTIN_CHECK(dropout.row_keys.size() == to_size(x.rows));
}

inline void check_cross_entropy(const CrossEntropy& call) {
  const int64_t V = call.weight.out_features, H = call.weight.in_features;
  const size_t M = call.targets.size();
  ETTIN_CHECK(call.x.cols == H && to_size(call.x.rows) == M && call.losses.size() == M);
  ETTIN_CHECK(call.best.empty() || call.best.size() == M);
  for (const int32_t t : call.targets) ETTIN_CHECK(t >= 0 && t < V);
  if (call.dx.data == nullptr) return;
  ETTIN_CHECK(call.transposed.out_features == H && call.transposed.in_features == V);
  check_shape(call.dx, call.x.rows, H);
  check_shape(call.d_weight, V, H);
  check_shape_or_empty(call.d_bias, 1, V);
}

// What pack() allocates is deleted by this type, so that a later call knows its own buffers again:
// others may lie in a mapped file or be shared by weights that nobody wants to change.
struct RefillableDelete {
  void operator()(Buffer* buffer) const { delete buffer; }
};

// The memory of `buffer`, if pack() made it with that size; otherwise `buffer` becomes new memory.
// Weights that were copied from a packed one see the new contents: they share the buffer.
inline Buffer& refillable(std::shared_ptr<const Buffer>* buffer, size_t bytes) {
  if (std::get_deleter<RefillableDelete>(*buffer) == nullptr || (*buffer)->size() != bytes) {
    *buffer = std::shared_ptr<Buffer>(new Buffer(bytes), RefillableDelete());
  }
  // Not undefined: the line above made it, as an object that is not const.
  return const_cast<Buffer&>(**buffer);
}

}  // namespace ettin
