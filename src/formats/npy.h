// NumPy's .npy file, written row by row, for more rows than memory holds.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include "ettin/status.h"

namespace ettin {

// float32, [rows, columns], version 1.0. Written aside; complete or absent. Not thread-safe.
class NpyWriter {
 public:
  static Result<NpyWriter> create(const std::string& path);

  NpyWriter(NpyWriter&& other) noexcept;
  NpyWriter& operator=(NpyWriter&&) = delete;
  ~NpyWriter();  // without finish(): leaves nothing behind

  // `values` holds whole rows of `columns` (above 0), the same at each call; else an error.
  Status add(std::span<const float> values, int64_t columns);
  Status finish();

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }

 private:
  NpyWriter(std::string path, std::string aside, std::FILE* file);
  Status failed(std::string_view what) const;

  std::string path_, aside_;
  std::FILE* file_;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
};

}  // namespace ettin
