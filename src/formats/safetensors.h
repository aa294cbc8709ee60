// The safetensors format: a JSON header with the name, type, shape and place of each tensor, then
// their bytes. The reader accepts what the reference implementation accepts, no overlap, no hole,
// no trailing bytes, and never reads outside the span it was given.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"
#include "tensor/stored_tensor.h"

namespace ettin {

struct SafetensorsFile {
  std::vector<StoredTensor> tensors;            // in the order of the header; views of the file
  std::map<std::string, std::string> metadata;  // "__metadata__"
};

// `where` names the file in messages. The tensors are views of `file`.
Result<SafetensorsFile> parse_safetensors(std::span<const std::byte> file, std::string_view where);

// Complete or absent, and the same bytes for the same input: tensors are laid out by descending
// element size, then by name, behind a header padded to a multiple of 8 bytes.
Status write_safetensors(const std::string& path, std::span<const StoredTensor> tensors,
                         const std::map<std::string, std::string>& metadata = {});

}  // namespace ettin
