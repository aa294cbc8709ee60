#include "line_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace ettin::cli {
namespace {

constexpr size_t kBlockBytes = 64 << 10;
constexpr size_t kLongestLine = size_t{16} << 20;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
// A writer that is at work gets this long before its lines count as not there yet.
constexpr int kPatienceMs = 2;

}  // namespace

Result<LineSource> LineSource::open(const std::string& path) {
  if (path == "-") return LineSource(STDIN_FILENO, "standard input", 0);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat facts = {};
  if (descriptor < 0 || ::fstat(descriptor, &facts) != 0) {
    const int error = errno;
    return Status(
        error == ENOENT || error == ENOTDIR ? StatusCode::not_found : StatusCode::io_error,
        fmt::format("{}: {}", path, std::strerror(error)),
        "--input names a file of texts, or - for standard input");
  }
  return LineSource(descriptor, path,
                    S_ISREG(facts.st_mode) ? static_cast<uint64_t>(facts.st_size) : 0);
}

LineSource::LineSource(int descriptor, std::string name, uint64_t size)
    : descriptor_(descriptor), name_(std::move(name)), size_(size) {}

LineSource::LineSource(LineSource&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      name_(std::move(other.name_)),
      size_(other.size_),
      block_(std::move(other.block_)),
      at_(other.at_),
      read_(other.read_),
      line_(other.line_),
      ended_(other.ended_) {}

LineSource::~LineSource() {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
}

Result<std::optional<std::string>> LineSource::next() {
  std::string line;
  for (;;) {
    const size_t end = block_.find('\n', at_);
    line.append(block_, at_, std::min(end, block_.size()) - at_);
    if (line.size() > kLongestLine) {
      return Status(StatusCode::resource_limit, fmt::format("{} line {} is longer than {} bytes",
                                                            name_, line_ + 1, kLongestLine));
    }
    if (end != std::string::npos) {
      at_ = end + 1;
      break;
    }
    at_ = 0;
    block_.resize(ended_ ? 0 : kBlockBytes);
    ssize_t n = 0;
    while (!ended_ && (n = ::read(descriptor_, block_.data(), kBlockBytes)) < 0 && errno == EINTR) {
    }
    if (n < 0) {
      return Status(StatusCode::io_error, fmt::format("{}: {}", name_, std::strerror(errno)));
    }
    block_.resize(static_cast<size_t>(n));
    read_ += static_cast<uint64_t>(n);
    if (n > 0) continue;
    ended_ = true;
    if (line.empty()) return std::optional<std::string>();
    break;
  }
  if (line_++ == 0 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  if (line.ends_with('\r')) line.pop_back();
  return std::optional<std::string>(std::move(line));
}

bool LineSource::is_ready() const {
  if (ended_ || block_.find('\n', at_) != std::string::npos) return true;
  pollfd wanted = {descriptor_, POLLIN, 0};
  return ::poll(&wanted, 1, kPatienceMs) != 0;  // an error shows when reading
}

std::string LineSource::where() const { return fmt::format("{} line {}", name_, line_); }

std::optional<double> LineSource::fraction() const {
  if (size_ == 0) return std::nullopt;
  const auto used = static_cast<double>(read_ - std::min<uint64_t>(block_.size() - at_, read_));
  return std::min(1.0, used / static_cast<double>(size_));
}

}  // namespace ettin::cli
