// A file that grows record by record while others read it: logs of a run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "ettin/status.h"

namespace ettin {

// Every append is in the operating system's hands when it returns: a reader sees it, and it
// survives the end of the program, though not a loss of power. Move-only; for one writer.
class AppendFile {
 public:
  // Opens `path`, which is made when it is not there; what it holds stays.
  static Result<AppendFile> open(const std::string& path);

  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&&) = delete;
  ~AppendFile();

  // All of `record` or, when the disk refuses, nothing: a torn record is cut off again.
  Status append(std::string_view record);
  // Waits until all of it is on the disk.
  Status sync();

 private:
  AppendFile(int descriptor, std::string path, uint64_t size)
      : descriptor_(descriptor), path_(std::move(path)), size_(size) {}

  int descriptor_;
  std::string path_;
  uint64_t size_;
};

}  // namespace ettin
