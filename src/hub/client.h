// The hub's protocol: what a repository holds, what each file should be, and the files themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "hub/cache.h"
#include "hub/model_name.h"
#include "hub/settings.h"
#include "hub/transfer.h"

namespace ettin {

struct RepositoryListing {
  std::string commit;
  std::vector<std::string> paths;  // every one is_repository_path()
};

struct RemoteFile {
  std::string path;
  std::string etag;  // is_blob_name()
  uint64_t bytes = 0;
};

class HubClient {
 public:
  explicit HubClient(HubSettings settings) : settings_(std::move(settings)) {}

  Result<RepositoryListing> list(const ModelName& name) const;
  // What the files of a commit should be.
  Result<std::vector<RemoteFile>> describe(const ModelName& name, const std::string& commit,
                                           std::span<const std::string> paths) const;
  // The files' contents into blobs/ETAG.incomplete, going on where an earlier call stopped. They
  // are not checked here. `progress` hears how many bytes are there, those of earlier calls too.
  Status fetch(const ModelName& name, const std::string& commit, std::span<const RemoteFile> files,
               const CachedRepository& cache,
               const std::function<void(uint64_t bytes)>& progress) const;

 private:
  TransferSettings transfers() const {
    return {settings_.connect_seconds, settings_.stall_seconds, 4};
  }

  HubSettings settings_;
};

// Checks a file of blobs/ETAG.incomplete against its name and gives it that name. A file that is
// not what it should be is removed.
Status accept_blob(const CachedRepository& cache, const RemoteFile& file);

}  // namespace ettin
