// The checkpoints that a training run left in one folder, by their names: epE-baB-rank0.pt after
// batch B of epoch E, and latest-rank0.pt, a link to the newest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin {

struct TrailFile {
  std::string name;
  std::optional<int64_t> epoch, batch;  // as the name says
};

// The files *.pt and *.pth of a folder: those without a batch by name, then by batch. Files of
// other ranks (rank1 ...) belong to a rank0 and are left out. Nothing is opened.
Result<std::vector<TrailFile>> list_trail(const std::string& directory);

// The one to take when none is named: of the highest batch, else latest-rank0.pt, else the only
// one. `directory` is for messages.
Result<TrailFile> newest(const std::vector<TrailFile>& trail, const std::string& directory);

// The one that `which` names: "ba5996", "5996", "ep0-ba5996", "latest", or a file's name with its
// ending or without.
Result<TrailFile> choose(const std::vector<TrailFile>& trail, std::string_view which,
                         const std::string& directory);

}  // namespace ettin
