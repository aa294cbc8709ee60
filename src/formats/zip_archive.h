// The entries of a zip archive whose entries are stored without compression, as PyTorch writes
// them. Every length and offset is checked; entries never overlap; nothing is copied.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin {

struct ZipEntry {
  std::string name;
  std::span<const std::byte> bytes;  // a view of the archive
};

// `where` names the file in messages. Entries are in the order of the central directory.
Result<std::vector<ZipEntry>> read_stored_zip(std::span<const std::byte> file,
                                              std::string_view where);

}  // namespace ettin
