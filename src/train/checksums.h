// checksums.json of a checkpoint: size and SHA-256 of each of its other files. It is written last,
// so a folder that has one was complete; and every file is checked against it before it is used.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/file.h"
#include "ettin/status.h"

namespace ettin {

struct FileSum {
  uint64_t bytes = 0;
  std::string sha256;  // hex
};

struct Checksums {
  int64_t step = 0;                      // of the whole run
  std::map<std::string, FileSum> files;  // by name
};

inline constexpr const char* kChecksumsFile = "checksums.json";

Result<FileSum> sum_file(const std::string& path);
Status write_checksums(const std::string& folder, const Checksums& checksums);

// The file alone; each bit of it counts: any other text than that of write_checksums is damage.
Result<Checksums> read_checksums(const std::string& folder);

// Maps every file that the list names, after its size and then its bytes were found right.
Result<std::map<std::string, MappedFile>> open_checked(const std::string& folder,
                                                       const Checksums& checksums);

}  // namespace ettin
