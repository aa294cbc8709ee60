#include "formats/npy.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace ettin {
namespace {

constexpr size_t kHeaderBytes = 128;  // fixed, so that the number of rows can be written at the end

std::string header(int64_t rows, int64_t columns) {
  std::string text("\x93NUMPY\x01\x00", 8);
  constexpr size_t kLength = kHeaderBytes - 10;
  text += static_cast<char>(kLength & 0xff);
  text += static_cast<char>(kLength >> 8);
  text +=
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  text.resize(kHeaderBytes - 1, ' ');
  return text + '\n';
}

}  // namespace

Result<NpyWriter> NpyWriter::create(const std::string& path) {
  const std::string aside = fmt::format("{}.tmp-{}", path, ::getpid());
  std::FILE* file = std::fopen(aside.c_str(), "wbe");
  NpyWriter npy(path, aside, file);
  if (file == nullptr) return npy.failed("create");
  const std::string room(kHeaderBytes, ' ');
  if (std::fwrite(room.data(), 1, room.size(), file) != room.size()) return npy.failed("write");
  return npy;
}

NpyWriter::NpyWriter(std::string path, std::string aside, std::FILE* file)
    : path_(std::move(path)), aside_(std::move(aside)), file_(file) {}

NpyWriter::NpyWriter(NpyWriter&& other) noexcept
    : path_(std::move(other.path_)),
      aside_(std::move(other.aside_)),
      file_(std::exchange(other.file_, nullptr)),
      rows_(other.rows_),
      columns_(other.columns_) {}

NpyWriter::~NpyWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  ::unlink(aside_.c_str());
}

Status NpyWriter::failed(std::string_view what) const {
  const int error = errno;
  return Status(error == ENOENT ? StatusCode::not_found : StatusCode::io_error,
                fmt::format("{}: cannot {}: {}", path_, what, std::strerror(error)));
}

Status NpyWriter::add(std::span<const float> values, int64_t columns) {
  if (values.empty()) return {};
  const auto count = static_cast<int64_t>(values.size());
  if (columns < 1 || count % columns != 0 || (rows_ > 0 && columns != columns_)) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{}: {} values are no rows of {}", path_, count, columns));
  }
  columns_ = columns;
  rows_ += count / columns;
  if (std::fwrite(values.data(), sizeof(float), values.size(), file_) != values.size()) {
    return failed("write");
  }
  return {};
}

Status NpyWriter::finish() {
  const std::string text = header(rows_, columns_);
  if (std::fseek(file_, 0, SEEK_SET) != 0 ||
      std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0 ||
      ::fsync(::fileno(file_)) != 0) {
    return failed("write");
  }
  if (std::fclose(std::exchange(file_, nullptr)) != 0 ||
      std::rename(aside_.c_str(), path_.c_str()) != 0) {
    const Status status = failed("write");
    ::unlink(aside_.c_str());
    return status;
  }
  return {};
}

}  // namespace ettin
