#include "formats/npy.h"

#include <cstddef>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/checked.h"
#include "base/file.h"
#include "tensor/stored_tensor.h"

namespace ettin {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr size_t kAlignment = 64;  // of the data, as NumPy writes it
constexpr size_t kMaxRank = 32;

}  // namespace

Status write_npy(const std::string& path, std::span<const float> values,
                 std::span<const uint64_t> shape) {
  if (shape.size() > kMaxRank || checked_product(shape) != values.size()) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{}: {} values for an array of shape {}", path, values.size(),
                              shape_to_string(shape)));
  }
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}{}), }}",
                                   fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  const size_t unpadded = kMagic.size() + 2 + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header.push_back('\n');

  std::string contents(kMagic);
  contents.push_back(static_cast<char>(header.size() & 0xff));
  contents.push_back(static_cast<char>(header.size() >> 8));
  contents += header;
  contents.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  return write_file_atomic(path, contents);
}

}  // namespace ettin
