// A tensor as a file holds it: bytes that belong to somebody else, a type and a shape. Row-major,
// little-endian, possibly unaligned: read elements through the functions below or memcpy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/affine_matrix.h"
#include "tensor/dtype.h"

namespace ettin {

struct StoredTensor {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<uint64_t> shape;
  std::span<const std::byte> bytes;  // exactly element_count() * dtype_bytes(dtype)
  bool mapped = false;               // they lie in a MappedFile: release_pages() may take them
  // Of a matrix whose numbers lie otherwise, or are integers with scales: how to read it. Then
  // dtype and bytes only say what the file holds; the elements are floating numbers all the same.
  std::shared_ptr<const AffineMatrix> affine = nullptr;

  uint64_t element_count() const;
  // Whether read_elements reads it.
  bool floating() const { return affine != nullptr || dtype_info(dtype).floating; }
  uint64_t stored_bytes() const;  // scales and zero points included
};

// "[768, 256]"
std::string shape_to_string(std::span<const uint64_t> shape);

// Elements [first, first + out.size()) of a floating-point tensor, widened or rounded to the
// output type. Precondition: the range lies inside the tensor and its dtype is floating.
void read_elements(const StoredTensor& tensor, uint64_t first, std::span<float> out);
void read_elements(const StoredTensor& tensor, uint64_t first, std::span<double> out);

}  // namespace ettin
