// What a build has counted and finished: stats.json, and the file that lets a build go on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/documents.h"
#include "ettin/status.h"
#include "formats/mds_index.h"

namespace ettin {

// Of the texts of one source file, before tokenising; counted anew when a build goes on.
struct TextCounts {
  uint64_t documents = 0;
  uint64_t duplicates = 0;
  uint64_t bytes = 0;
};

// Of what one source file gave to one set.
struct TokenCounts {
  uint64_t documents = 0;
  uint64_t too_short = 0;
  uint64_t chunks = 0;
  uint64_t tokens = 0;
};

// One of the data sets that a build makes, as far as its finished shards go.
struct SetProgress {
  std::vector<MdsShardInfo> shards;
  uint64_t document = 0;  // number of the first document that the shards do not hold whole
  uint64_t chunks = 0;    // chunks of that document that they hold
  std::vector<TokenCounts> counts;  // per source file, of the documents before it
};

inline constexpr std::string_view kProgressFile = "progress.json";
inline constexpr std::string_view kStatsFile = "stats.json";

Status save_progress(const std::string& folder, const std::string& fingerprint,
                     const std::vector<SetProgress>& sets);

// invalid_argument when the file was written under another fingerprint.
Result<std::vector<SetProgress>> load_progress(const std::string& folder,
                                               const std::string& fingerprint, size_t sets,
                                               size_t sources);

// Contents of stats.json, settings aside.
Json build_stats(const std::vector<SourceFile>& sources, const std::vector<TextCounts>& texts,
                 const std::vector<std::string>& set_names, const std::vector<SetProgress>& sets);

}  // namespace ettin
