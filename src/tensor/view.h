// A 2-D view of activations: rows are tokens, columns are features. Nothing in this model needs a
// higher rank. The element type is a tag, so that one interface serves float and double.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/check.h"
#include "tensor/dtype.h"

namespace ettin {

template <class Byte>
struct BasicView {
  Byte* data = nullptr;
  Dtype dtype = Dtype::f32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // elements from one row to the next; >= cols

  // Pointer to row r; T must be the type that `dtype` names.
  template <class T>
  auto* row(int64_t r) const {
    using Element = std::conditional_t<std::is_const_v<Byte>, const T, T>;
    return reinterpret_cast<Element*>(data) + r * stride;
  }

  // Rows [first, first + count).
  BasicView slice_rows(int64_t first, int64_t count) const {
    ETTIN_CHECK(first >= 0 && count >= 0 && first + count <= rows);
    return {data + first * stride * dtype_bytes(dtype), dtype, count, cols, stride};
  }

  // Columns [first, first + count).
  BasicView slice_cols(int64_t first, int64_t count) const {
    ETTIN_CHECK(first >= 0 && count >= 0 && first + count <= cols);
    return {data + first * dtype_bytes(dtype), dtype, rows, count, stride};
  }

  operator BasicView<const Byte>() const  // NOLINT: a mutable view is a const view
      requires(!std::is_const_v<Byte>) {
    return {data, dtype, rows, cols, stride};
  }
};

using View = BasicView<std::byte>;
using ConstView = BasicView<const std::byte>;

}  // namespace ettin
