// Lines of a file or of standard input, read in blocks: memory is bounded by the longest line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ettin/status.h"

namespace ettin::cli {

// Move-only; closes the file it opened. Not thread-safe.
class LineSource {
 public:
  // "-": standard input.
  static Result<LineSource> open(const std::string& path);

  LineSource(LineSource&& other) noexcept;
  LineSource& operator=(LineSource&&) = delete;
  ~LineSource();

  // The next line without its line end ("\n" or "\r\n"), nothing at the end. A byte order mark at
  // the very beginning is dropped.
  Result<std::optional<std::string>> next();

  // Would next() return without waiting for a writer? May be wrong about an unfinished line.
  bool is_ready() const;

  // Where the last line stands: "texts.jsonl line 7".
  std::string where() const;
  // Part of the file that was read, 0 to 1; nothing when the size is not known.
  std::optional<double> fraction() const;

 private:
  LineSource(int descriptor, std::string name, uint64_t size);

  int descriptor_;
  std::string name_;
  uint64_t size_;  // 0: not known
  std::string block_;
  size_t at_ = 0;  // in block_
  uint64_t read_ = 0;
  uint64_t line_ = 0;
  bool ended_ = false;
};

}  // namespace ettin::cli
