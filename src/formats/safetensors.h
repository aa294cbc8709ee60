// The safetensors format: a JSON header with the name, type, shape and place of each tensor, then
// their bytes. The reader accepts what the reference implementation accepts, no overlap, no hole,
// no trailing bytes, and never reads outside the span it was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "ettin/status.h"
#include "tensor/stored_tensor.h"

namespace ettin {

struct SafetensorsFile {
  std::vector<StoredTensor> tensors;            // in the order of the header; views of the file
  std::map<std::string, std::string> metadata;  // "__metadata__"
};

// `where` names the file in messages. The tensors are views of `file`.
Result<SafetensorsFile> parse_safetensors(std::span<const std::byte> file, std::string_view where);

// A file written tensor by tensor, in any order and in pieces, so that no more than a piece need be
// in memory. Complete or absent, and the same bytes for the same input: tensors are laid out by
// descending element size, then by name, behind a header padded to a multiple of 8 bytes.
class SafetensorsWriter {
 public:
  // The tensors to come: names, types and shapes; their bytes are not read.
  static Result<SafetensorsWriter> create(const std::string& path,
                                          std::span<const StoredTensor> tensors,
                                          const std::map<std::string, std::string>& metadata = {});

  // Bytes of the tensor from byte `offset` of it. Precondition: they lie inside it.
  Status write(std::string_view name, uint64_t offset, std::span<const std::byte> bytes);
  // Precondition: every byte was written. Nothing is there before it is called.
  Status commit() { return file_.commit(); }

 private:
  struct Place {
    uint64_t begin, bytes;  // in the file
  };

  explicit SafetensorsWriter(OutputFile file) : file_(std::move(file)) {}

  OutputFile file_;
  std::map<std::string, Place, std::less<>> places_;
};

// All at once.
Status write_safetensors(const std::string& path, std::span<const StoredTensor> tensors,
                         const std::map<std::string, std::string>& metadata = {});

}  // namespace ettin
