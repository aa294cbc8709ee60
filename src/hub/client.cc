#include "hub/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/json.h"
#include "hub/blob_job.h"
#include "hub/retries.h"

namespace ettin {
namespace {

constexpr size_t kMostListingBytes = size_t{16} << 20;
constexpr size_t kMostFiles = 20000;
constexpr uint64_t kMostFileBytes = uint64_t{1} << 40;

// What a job says about itself when it fails.
struct Asked {
  const HubSettings& settings;
  const ModelName& name;
  std::string path;

  Status explain(const Outcome& outcome) const {
    if (!outcome.refused.ok()) return outcome.refused;
    if (!outcome.trouble.empty() || outcome.last().status == 0) {
      return unreachable(settings.endpoint, outcome.trouble);
    }
    return explain_refusal(outcome.last(), name.repository, name.revision, path,
                           !settings.token.empty());
  }
};

class ListingJob : public Job {
 public:
  explicit ListingJob(Asked asked) : asked_(std::move(asked)) {}

  Request attempt() override {
    text_.clear();
    Request request;
    request.url = fmt::format("{}/api/models/{}/revision/{}", asked_.settings.endpoint,
                              percent_encoded(asked_.name.repository, true),
                              percent_encoded(asked_.name.revision, false));
    request.token = asked_.settings.token;
    return request;
  }

  Status begin(const Answer&) override { return {}; }

  Status body(std::span<const std::byte> bytes) override {
    if (text_.size() + bytes.size() > kMostListingBytes) {
      return Status(StatusCode::resource_limit,
                    fmt::format("{}: its list of files is larger than {} bytes",
                                asked_.name.repository, kMostListingBytes));
    }
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }

  Result<std::optional<double>> finished(const Outcome& outcome) override {
    if (outcome.refused.ok() && outcome.trouble.empty() && outcome.last().status == 200) {
      return std::optional<double>();
    }
    if (const auto delay = retries_.next(outcome, false)) return delay;
    return asked_.explain(outcome);
  }

  const std::string& text() const { return text_; }

 private:
  Asked asked_;
  Retries retries_;
  std::string text_;
};

class FactsJob : public Job {
 public:
  FactsJob(Asked asked, std::string commit) : asked_(std::move(asked)), commit_(std::move(commit)) {
    file_.path = asked_.path;
  }

  Request attempt() override {
    Request request;
    request.url = file_address(asked_.settings, asked_.name, commit_, asked_.path);
    request.head = true;
    request.token = asked_.settings.token;
    request.stop_at_other_host = true;  // the blob's host knows nothing of the repository
    return request;
  }

  Status begin(const Answer&) override { return {}; }
  Status body(std::span<const std::byte>) override { return {}; }

  Result<std::optional<double>> finished(const Outcome& outcome) override {
    const int status = outcome.last().status;
    const bool answered = outcome.refused.ok() && outcome.trouble.empty() &&
                          (status == 200 || (status >= 300 && status < 400));
    if (answered) {
      ETTIN_RETURN_IF_ERROR(read(outcome));
      return std::optional<double>();
    }
    if (const auto delay = retries_.next(outcome, false)) return delay;
    return asked_.explain(outcome);
  }

  const RemoteFile& file() const { return file_; }

 private:
  Status read(const Outcome& outcome) {
    std::string commit, etag, size;
    // Redirects inside the hub may carry the facts on any of their answers.
    for (const Answer& answer : outcome.answers) {
      if (const auto v = answer.header("x-repo-commit"); !v.empty()) commit = v;
      if (const auto v = answer.header("x-linked-etag"); !v.empty()) etag = v;
      if (const auto v = answer.header("x-linked-size"); !v.empty()) size = v;
    }
    if (etag.empty()) etag = outcome.last().header("etag");
    if (size.empty() && outcome.last().status == 200)
      size = outcome.last().header("content-length");
    file_.etag = plain_etag(etag);
    const std::string where = fmt::format("{}: {}", asked_.name.repository, asked_.path);
    if (commit.empty()) {
      return Status(StatusCode::network_error,
                    fmt::format("{}: the answer has no X-Repo-Commit", where),
                    "HF_ENDPOINT is no hub, or a proxy changes answers");
    }
    if (commit != commit_) {
      return Status(StatusCode::network_error,
                    fmt::format("{}: asked for commit {}, got {:.60}", where, commit_, commit));
    }
    if (!is_blob_name(file_.etag)) {
      return Status(StatusCode::network_error,
                    fmt::format("{}: \"{:.80}\" is no checksum", where, file_.etag),
                    "HF_ENDPOINT is no hub, or a proxy changes answers");
    }
    const auto bytes = parse_size(size);
    if (!bytes || *bytes > kMostFileBytes) {
      return Status(StatusCode::network_error,
                    fmt::format("{}: \"{:.40}\" is no size for a file", where, size));
    }
    file_.bytes = *bytes;
    return {};
  }

  Asked asked_;
  std::string commit_;
  Retries retries_;
  RemoteFile file_;
};

std::vector<Job*> pointers(const auto& jobs) {
  std::vector<Job*> list;
  for (const auto& job : jobs) list.push_back(job.get());
  return list;
}

Result<RepositoryListing> read_listing(const std::string& text, const std::string& where) {
  ETTIN_ASSIGN_OR_RETURN(const Json document, parse_json(text, where));
  RepositoryListing listing;
  ETTIN_ASSIGN_OR_RETURN(listing.commit, json_get<std::string>(document, "sha", where));
  if (!is_commit(listing.commit)) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: sha \"{:.60}\" is no commit", where, listing.commit));
  }
  const Json* const files = json_member(document, "siblings");
  if (files == nullptr || !files->is_array() || files->size() > kMostFiles) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: siblings is no list of at most {} files", where, kMostFiles));
  }
  for (const Json& file : *files) {
    ETTIN_ASSIGN_OR_RETURN(std::string path, json_get<std::string>(file, "rfilename", where));
    if (!is_repository_path(path)) {
      return Status(StatusCode::bad_data,
                    fmt::format("{}: refused file name \"{:.80}\"", where, path),
                    "no repository of the hub has such a file; do not trust this server");
    }
    listing.paths.push_back(std::move(path));
  }
  return listing;
}

}  // namespace

std::string file_address(const HubSettings& settings, const ModelName& name,
                         const std::string& commit, const std::string& path) {
  return fmt::format("{}/{}/resolve/{}/{}", settings.endpoint,
                     percent_encoded(name.repository, true), commit, percent_encoded(path, true));
}

Result<RepositoryListing> HubClient::list(const ModelName& name) const {
  ListingJob job({settings_, name, ""});
  Job* const jobs[] = {&job};
  ETTIN_RETURN_IF_ERROR(run_jobs(jobs, transfers(), {}));
  return read_listing(job.text(), name.repository);
}

Result<std::vector<RemoteFile>> HubClient::describe(const ModelName& name,
                                                    const std::string& commit,
                                                    std::span<const std::string> paths) const {
  std::vector<std::unique_ptr<FactsJob>> jobs;
  for (const std::string& path : paths) {
    jobs.push_back(std::make_unique<FactsJob>(Asked{settings_, name, path}, commit));
  }
  ETTIN_RETURN_IF_ERROR(run_jobs(pointers(jobs), transfers(), {}));
  std::vector<RemoteFile> files;
  for (const auto& job : jobs) files.push_back(job->file());
  return files;
}

Status HubClient::fetch(const ModelName& name, const std::string& commit,
                        std::span<const RemoteFile> files, const CachedRepository& cache,
                        const std::function<void(uint64_t)>& progress) const {
  std::vector<std::unique_ptr<BlobJob>> jobs;
  for (const RemoteFile& file : files) {
    auto job = std::make_unique<BlobJob>(settings_, name, commit, file,
                                         cache.blob(file.etag) + ".incomplete");
    ETTIN_RETURN_IF_ERROR(job->open());
    jobs.push_back(std::move(job));
  }
  std::vector<Job*> unfinished;
  for (const auto& job : jobs) {
    if (!job->complete()) unfinished.push_back(job.get());
  }
  const auto tick = [&] {
    uint64_t bytes = 0;
    for (const auto& job : jobs) bytes += job->bytes();
    if (progress) progress(bytes);
  };
  ETTIN_RETURN_IF_ERROR(run_jobs(unfinished, transfers(), tick));
  for (const auto& job : jobs) ETTIN_RETURN_IF_ERROR(job->close());
  return {};
}

}  // namespace ettin
