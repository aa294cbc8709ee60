// The tensors of a checkpoint's files: one list for writing and reading.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "ettin/status.h"
#include "model/parameters.h"

namespace ettin {

struct NamedView {
  std::string name;
  std::vector<uint64_t> shape;
  View view;  // its numbers, one after the other
};

// Of model.safetensors: names and parts of the arm's class in transformers.
std::vector<NamedView> named_weights(const ModelConfig& config, const Parameters& values);
// Of optimizer.safetensors: the list's own names with ".m" and ".v".
std::vector<NamedView> named_moments(const ModelConfig& config, const Parameters& moment1,
                                     const Parameters& moment2);

Status write_views(const std::string& path, std::span<const NamedView> views);

// A file whose tensors are exactly the views', fp32 and of their shapes. Views of `file`.
Result<std::vector<std::span<const std::byte>>> find_views(const MappedFile& file,
                                                           std::span<const NamedView> views);
// Precondition: `bytes` is what find_views found for them.
void fill_views(std::span<const NamedView> views,
                std::span<const std::span<const std::byte>> bytes);

}  // namespace ettin
