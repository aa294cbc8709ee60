#include "base/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace ettin {
namespace {

Status os_error(const std::string& path, std::string_view what) {
  return Status(StatusCode::io_error,
                fmt::format("{}: cannot {}: {}", path, what, std::strerror(errno)));
}

}  // namespace

Result<AppendFile> AppendFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd < 0) return os_error(path, "open");
  AppendFile file(fd, path, 0);
  struct stat st = {};
  if (::fstat(fd, &st) != 0) return os_error(path, "stat");
  if (!S_ISREG(st.st_mode)) {
    return Status(StatusCode::invalid_argument, fmt::format("{}: not a regular file", path));
  }
  file.size_ = static_cast<uint64_t>(st.st_size);
  return file;
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      size_(other.size_) {}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status AppendFile::append(std::string_view record) {
  uint64_t at = size_;
  while (!record.empty()) {
    const ssize_t n = ::pwrite(descriptor_, record.data(), record.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      Status failed = os_error(path_, "write");
      // Should this fail too, the next record overwrites the torn one all the same.
      [[maybe_unused]] const int cut = ::ftruncate(descriptor_, static_cast<off_t>(size_));
      return failed;
    }
    record.remove_prefix(static_cast<size_t>(n));
    at += static_cast<uint64_t>(n);
  }
  size_ = at;
  return {};
}

Status AppendFile::sync() { return ::fsync(descriptor_) == 0 ? Status() : os_error(path_, "sync"); }

}  // namespace ettin
