// A .npy file written row by row, for more rows than memory holds.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include "ettin/status.h"

namespace ettin::cli {

// float32, [rows, columns], version 1.0. Written aside; complete or absent. Not thread-safe.
class NpyFile {
 public:
  static Result<NpyFile> create(const std::string& path);

  NpyFile(NpyFile&& other) noexcept;
  NpyFile& operator=(NpyFile&&) = delete;
  ~NpyFile();  // without finish(): leaves nothing behind

  // `values` holds whole rows of `columns`, the same at each call.
  Status add(std::span<const float> values, int64_t columns);
  Status finish();

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }

 private:
  NpyFile(std::string path, std::string aside, std::FILE* file);
  Status failed(std::string_view what) const;

  std::string path_, aside_;
  std::FILE* file_;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
};

}  // namespace ettin::cli
