#include "hub/blob_job.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "base/hash.h"

namespace ettin {
namespace {

Status file_error(const std::string& path, std::string_view what) {
  const std::string hint =
      errno == ENOSPC ? "free some space; what was fetched so far is kept" : "";
  return Status(StatusCode::io_error,
                fmt::format("{}: cannot {}: {}", path, what, std::strerror(errno)), hint);
}

// SHA-256 of the contents for a name of 64 digits; Git's name of a blob, a SHA-1, for one of 40.
Result<std::string> digest_of(const std::string& path, const RemoteFile& file) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return file_error(path, "open");
  const bool git = file.etag.size() == 40;
  Digest digest(git ? Digest::Kind::sha1 : Digest::Kind::sha256);
  if (git) {
    const std::string head = fmt::format("blob {}", file.bytes);
    digest.add(std::as_bytes(std::span(head.c_str(), head.size() + 1)));
  }
  std::vector<std::byte> buffer(size_t{1} << 20);
  Status status;
  for (;;) {
    const ssize_t n = ::read(descriptor, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status = file_error(path, "read");
    if (n <= 0) break;
    digest.add(std::span(buffer).first(static_cast<size_t>(n)));
  }
  ::close(descriptor);
  if (!status.ok()) return status;
  return digest.hex();
}

}  // namespace

BlobJob::BlobJob(const HubSettings& settings, const ModelName& name, std::string commit,
                 const RemoteFile& file, std::string target)
    : settings_(settings),
      name_(name),
      commit_(std::move(commit)),
      file_(file),
      target_(std::move(target)) {}

BlobJob::~BlobJob() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status BlobJob::open() {
  descriptor_ = ::open(target_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  struct stat info = {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &info) != 0) return file_error(target_, "create");
  written_ = static_cast<uint64_t>(info.st_size);
  if (written_ > file_.bytes) return start_over();
  return {};
}

Status BlobJob::close() {
  const int descriptor = std::exchange(descriptor_, -1);
  Status status;
  if (::fsync(descriptor) != 0) status = file_error(target_, "write");
  ::close(descriptor);
  return status;
}

Status BlobJob::start_over() {
  written_ = 0;
  return ::ftruncate(descriptor_, 0) == 0 ? Status() : file_error(target_, "empty");
}

Status BlobJob::failed(std::string_view what) const {
  return Status(StatusCode::network_error,
                fmt::format("{}: {}: {}", name_.repository, file_.path, what),
                "try again; if it stays so, a proxy or the server changes files");
}

Request BlobJob::attempt() {
  at_start_ = written_;
  Request request;
  request.url = file_address(settings_, name_, commit_, file_.path);
  request.token = settings_.token;
  request.from = written_;
  return request;
}

Status BlobJob::begin(const Answer& answer) {
  if (answer.status == 206) {
    const auto range = parse_content_range(answer.header("content-range"));
    if (!range || range->first != written_ || (range->total && *range->total != file_.bytes)) {
      return failed("the server sent another part than was asked for");
    }
    return {};
  }
  const auto bytes = parse_size(answer.header("content-length"));
  if (bytes && *bytes != file_.bytes) {
    return failed(fmt::format("{} bytes were announced and {} come", file_.bytes, *bytes));
  }
  return written_ == 0 ? Status() : start_over();
}

Status BlobJob::body(std::span<const std::byte> bytes) {
  if (bytes.size() > file_.bytes - written_) {
    return failed(fmt::format("more bytes come than the {} announced", file_.bytes));
  }
  while (!bytes.empty()) {
    const ssize_t n =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(written_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file_error(target_, "write");
    bytes = bytes.subspan(static_cast<size_t>(n));
    written_ += static_cast<uint64_t>(n);
  }
  return {};
}

Result<std::optional<double>> BlobJob::finished(const Outcome& outcome) {
  if (!outcome.refused.ok()) return outcome.refused;
  const int status = outcome.last().status;
  const bool good = status >= 200 && status < 300;
  if (complete() && good) return std::optional<double>();
  // The part that is there does not fit: begin without it, once.
  if (status == 416 && at_start_ > 0) {
    ETTIN_RETURN_IF_ERROR(start_over());
    return std::optional(0.0);
  }
  if (good && outcome.trouble.empty()) {
    Outcome cut = outcome;
    cut.trouble = "the file ended early";
    if (const auto delay = retries_.next(cut, written_ > at_start_)) return delay;
    return failed(cut.trouble);
  }
  if (const auto delay = retries_.next(outcome, written_ > at_start_)) return delay;
  if (!outcome.trouble.empty() || status == 0) {
    return unreachable(settings_.endpoint, outcome.trouble).with_context(file_.path);
  }
  return explain_refusal(outcome.last(), name_.repository, name_.revision, file_.path,
                         !settings_.token.empty());
}

Status accept_blob(const CachedRepository& cache, const RemoteFile& file) {
  const std::string blob = cache.blob(file.etag), aside = blob + ".incomplete";
  ETTIN_ASSIGN_OR_RETURN(const std::string digest, digest_of(aside, file));
  if (digest != file.etag) {
    ::unlink(aside.c_str());
    return Status(StatusCode::bad_data,
                  fmt::format("{}: the checksum is {:.12}... and the hub says {:.12}...", file.path,
                              digest, file.etag),
                  "it was removed; pull again, and if it stays so, a proxy or the server changes "
                  "files");
  }
  if (std::rename(aside.c_str(), blob.c_str()) != 0) return file_error(blob, "write");
  return {};
}

}  // namespace ettin
