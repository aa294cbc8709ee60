#include "tensor/stored_tensor.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "base/half.h"

namespace ettin {
namespace {

static_assert(std::endian::native == std::endian::little, "files are read in place");

template <class Stored, class Out, class Convert>
void convert_elements(const std::byte* from, std::span<Out> out, Convert convert) {
  for (size_t i = 0; i < out.size(); ++i) {
    Stored v;
    std::memcpy(&v, from + i * sizeof(Stored), sizeof(Stored));
    out[i] = static_cast<Out>(convert(v));
  }
}

template <class Out>
void read_affine(const AffineMatrix& m, uint64_t first, std::span<Out> out) {
  const auto columns = static_cast<uint64_t>(m.columns);
  std::vector<Out> row(columns);
  while (!out.empty()) {
    read_row(m, static_cast<int64_t>(first / columns), std::span(row));
    const uint64_t from = first % columns;
    const size_t n = std::min<size_t>(out.size(), columns - from);
    std::copy_n(row.begin() + static_cast<ptrdiff_t>(from), n, out.begin());
    out = out.subspan(n);
    first += n;
  }
}

template <class Out>
void read_any(const StoredTensor& t, uint64_t first, std::span<Out> out) {
  if (t.affine != nullptr) return read_affine(*t.affine, first, out);
  const uint64_t size = dtype_bytes(t.dtype);
  ETTIN_CHECK((first + out.size()) * size <= t.bytes.size());
  const std::byte* from = t.bytes.data() + first * size;
  switch (t.dtype) {
    case Dtype::f64:
      return convert_elements<double>(from, out, [](double v) { return v; });
    case Dtype::f32:
      return convert_elements<float>(from, out, [](float v) { return v; });
    case Dtype::f16:
      return convert_elements<uint16_t>(from, out, fp16_to_float);
    case Dtype::bf16:
      return convert_elements<uint16_t>(from, out, bf16_to_float);
    default:
      ETTIN_CHECK(false && "floating dtype");
  }
}

}  // namespace

uint64_t StoredTensor::element_count() const {
  uint64_t count = 1;
  for (const uint64_t d : shape) count *= d;  // whoever made the tensor has excluded an overflow
  return count;
}

uint64_t StoredTensor::stored_bytes() const {
  if (affine == nullptr) return bytes.size();
  return bytes.size() + affine->scales.bytes.size() + affine->zeros.bytes.size();
}

std::string shape_to_string(std::span<const uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

void read_elements(const StoredTensor& tensor, uint64_t first, std::span<float> out) {
  read_any(tensor, first, out);
}

void read_elements(const StoredTensor& tensor, uint64_t first, std::span<double> out) {
  read_any(tensor, first, out);
}

}  // namespace ettin
