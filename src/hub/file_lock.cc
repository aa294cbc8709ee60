#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "hub/cache.h"

namespace ettin {

Result<std::optional<FileLock>> FileLock::try_lock(const std::string& path) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) {
      return Status(StatusCode::io_error,
                    fmt::format("{}: cannot open the lock: {}", path, std::strerror(errno)));
    }
    FileLock lock(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return std::optional<FileLock>();
      return Status(StatusCode::io_error,
                    fmt::format("{}: cannot lock: {}", path, std::strerror(errno)));
    }
    // Whoever held it before may have removed the file; then the lock is on a file that nobody else
    // will find.
    struct stat mine = {}, there = {};
    if (::fstat(descriptor, &mine) == 0 && ::stat(path.c_str(), &there) == 0 &&
        mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) {
      return std::optional<FileLock>(std::move(lock));
    }
  }
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace ettin
