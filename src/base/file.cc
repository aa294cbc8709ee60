#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace ettin {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Status os_error(const std::string& path, std::string_view what) {
  const int e = errno;
  const StatusCode code =
      e == ENOENT || e == ENOTDIR ? StatusCode::not_found : StatusCode::io_error;
  return Status(code, fmt::format("{}: cannot {}: {}", path, what, std::strerror(e)));
}

// Opens a regular file for reading; size in *size.
Result<int> open_regular(const std::string& path, size_t* size) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return os_error(path, "open");
  struct stat st = {};
  if (::fstat(fd.get(), &st) != 0) return os_error(path, "stat");
  if (!S_ISREG(st.st_mode)) {
    return Status(StatusCode::invalid_argument, fmt::format("{}: not a regular file", path));
  }
  *size = static_cast<size_t>(st.st_size);
  return fd.release();
}

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> p(::realpath(path.c_str(), nullptr),
                                                      &std::free);
  return p ? std::string(p.get()) : std::string();
}

// Of a model or data set in Hugging Face's cache.
bool is_hub_folder(std::string_view name) {
  return name.starts_with("models--") || name.starts_with("datasets--");
}

}  // namespace

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  size_t size = 0;
  ETTIN_ASSIGN_OR_RETURN(const int raw_fd, open_regular(path, &size));
  const FileDescriptor fd(raw_fd);
  if (size > max_bytes) {
    return Status(StatusCode::resource_limit,
                  fmt::format("{}: {} bytes; at most {} are read", path, size, max_bytes));
  }
  std::string text(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(fd.get(), text.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error(path, "read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  text.resize(done);
  return text;
}

Result<MappedFile> MappedFile::open(const std::string& path) {
  size_t size = 0;
  ETTIN_ASSIGN_OR_RETURN(const int raw_fd, open_regular(path, &size));
  const FileDescriptor fd(raw_fd);
  MappedFile file;
  file.path_ = path;
  if (size == 0) return file;
  void* p = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (p == MAP_FAILED) return os_error(path, "map");
  file.data_ = static_cast<const std::byte*>(p);
  file.size_ = size;
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void release_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t first = (address + page - 1) / page * page;
  const uintptr_t last = (address + bytes.size()) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

Result<std::string> file_stamp(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return os_error(path, "stat");
  return fmt::format("{}@{}.{:09}", info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

bool is_plain_file_name(std::string_view name) {
  if (name.empty() || name.size() > 200 || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

Result<std::string> resolve_beneath(const std::string& directory, std::string_view name) {
  if (!is_plain_file_name(name)) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: refused file name \"{:.80}\"", directory, name),
                  "only plain names of letters, digits, '.', '_' and '-' are followed");
  }
  std::string path = join_path(directory, name);
  struct stat st = {};
  if (::lstat(path.c_str(), &st) != 0) return os_error(path, "open");
  if (!S_ISLNK(st.st_mode)) return path;
  const std::string root = real_path(directory);
  const std::string target = real_path(path);
  if (root.empty() || target.empty()) return os_error(path, "resolve");
  // A cache's snapshots/COMMIT and the folders below it link to blobs beside `snapshots`.
  const size_t snapshots = root.rfind("/snapshots/");
  const std::string repository = root.substr(0, std::min(snapshots, root.size()));
  const bool hub_cache =
      snapshots != std::string::npos && is_hub_folder(repository.substr(repository.rfind('/') + 1));
  const std::string allowed = (hub_cache ? repository : root) + "/";
  if (!target.starts_with(allowed)) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: symbolic link leaves the model directory", path),
                  "replace the link by the file it points to");
  }
  return path;
}

Result<OutputFile> OutputFile::create(const std::string& path) {
  std::string aside = fmt::format("{}.tmp-{}", path, ::getpid());
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return os_error(aside, "create");
  return OutputFile(fd, path, std::move(aside));
}

OutputFile::OutputFile(int descriptor, std::string path, std::string aside)
    : descriptor_(descriptor), path_(std::move(path)), aside_(std::move(aside)) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      aside_(std::move(other.aside_)) {}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(aside_.c_str());
}

Status OutputFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error(aside_, "write");
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Status OutputFile::commit() {
  const int fd = std::exchange(descriptor_, -1);
  Status status;
  if (::fsync(fd) != 0) status = os_error(aside_, "write");
  if (::close(fd) != 0 && status.ok()) status = os_error(aside_, "write");
  if (status.ok() && std::rename(aside_.c_str(), path_.c_str()) != 0) {
    status = os_error(path_, "write");
  }
  if (!status.ok()) ::unlink(aside_.c_str());
  return status;
}

Status write_file_atomic(const std::string& path, std::string_view contents) {
  ETTIN_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path));
  ETTIN_RETURN_IF_ERROR(file.write_at(0, std::as_bytes(std::span(contents))));
  return file.commit();
}

Status sync_folder(const std::string& directory) {
  const FileDescriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return os_error(directory, "open");
  // Some network file systems cannot sync a folder, and say so with EINVAL.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return os_error(directory, "sync");
  return {};
}

bool file_exists(const std::string& path) {
  struct stat st = {};
  return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
}

bool directory_exists(const std::string& path) {
  struct stat st = {};
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

std::string join_path(std::string_view directory, std::string_view name) {
  if (directory.empty()) return std::string(name);
  if (directory.back() == '/') return fmt::format("{}{}", directory, name);
  return fmt::format("{}/{}", directory, name);
}

Result<std::vector<std::string>> list_folder(const std::string& directory, bool deep) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  std::error_code error;
  // Not in a range-based for: its increment throws.
  fs::recursive_directory_iterator at(directory, error);
  if (error == std::errc::no_such_file_or_directory) return paths;
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    paths.push_back(at->path().lexically_relative(directory).string());
    if (!deep) at.disable_recursion_pending();
  }
  if (!error) return paths;
  return Status(StatusCode::io_error,
                fmt::format("{}: cannot read the folder: {}", directory, error.message()));
}

}  // namespace ettin
