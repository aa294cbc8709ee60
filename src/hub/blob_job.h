// A file's contents on their way into blobs/ETAG.incomplete.
#pragma once

#include "hub/client.h"
#include "hub/retries.h"

namespace ettin {

// The address of a file of a commit.
std::string file_address(const HubSettings& settings, const ModelName& name,
                         const std::string& commit, const std::string& path);

class BlobJob : public Job {
 public:
  BlobJob(const HubSettings& settings, const ModelName& name, std::string commit,
          const RemoteFile& file, std::string target);
  ~BlobJob() override;
  BlobJob(const BlobJob&) = delete;
  BlobJob& operator=(const BlobJob&) = delete;

  // Opens the target and finds out how much of it is there.
  Status open();
  // Sees that the bytes are on disk.
  Status close();

  uint64_t bytes() const { return written_; }
  bool complete() const { return written_ == file_.bytes; }

  Request attempt() override;
  Status begin(const Answer& answer) override;
  Status body(std::span<const std::byte> bytes) override;
  Result<std::optional<double>> finished(const Outcome& outcome) override;

 private:
  Status failed(std::string_view what) const;
  Status start_over();

  const HubSettings& settings_;
  const ModelName& name_;
  std::string commit_;
  RemoteFile file_;
  std::string target_;
  Retries retries_;
  int descriptor_ = -1;
  uint64_t written_ = 0, at_start_ = 0;
};

}  // namespace ettin
