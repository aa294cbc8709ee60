#include "train/check_data.h"

#include <cstdint>
#include <set>

#include <fmt/format.h>

#include "data/survey.h"
#include "formats/mds_index.h"

namespace ettin {
namespace {

constexpr uint64_t kReadInAdvance = uint64_t{2} << 30;  // some seconds

class Checker {
 public:
  explicit Checker(int64_t vocab_size) : vocab_size_(vocab_size) {}

  Status check(const std::vector<DataSource>& sources, const std::string& key) {
    for (const DataSource& source : sources) {
      if (!seen_.insert(source.path).second) continue;
      ETTIN_RETURN_IF_ERROR(check_folder(source.path).with_context(key));
    }
    return {};
  }
  std::vector<std::string> notes() && { return std::move(notes_); }

 private:
  Status check_folder(const std::string& path) {
    ETTIN_ASSIGN_OR_RETURN(const std::vector<MdsShardInfo> index, read_mds_index(path));
    uint64_t bytes = 0;
    for (const MdsShardInfo& shard : index) bytes += shard.raw.bytes;
    if (bytes > kReadInAdvance - read_) {
      notes_.push_back(fmt::format(
          "{}: {:.1f} GB, checked as they are fed; `ettin data verify {}` reads all of it", path,
          static_cast<double>(bytes) / 1e9, path));
      return {};
    }
    read_ += bytes;
    ETTIN_ASSIGN_OR_RETURN(const Verification found, verify_dataset(path, vocab_size_));
    if (found.damage.empty()) return {};
    return Status(StatusCode::bad_data,
                  fmt::format("{}{}", found.damage[0].what,
                              found.damage.size() == 1 ? ""
                                                       : fmt::format("; {} more shards are damaged",
                                                                     found.damage.size() - 1)),
                  "fetch or make the data again; `ettin data verify` lists all that is damaged");
  }

  int64_t vocab_size_;
  uint64_t read_ = 0;
  std::set<std::string> seen_;
  std::vector<std::string> notes_;
};

}  // namespace

Result<std::vector<std::string>> check_data(const Recipe& recipe) {
  Checker checker(recipe.model.vocab_size);
  for (const PhaseRecipe& p : recipe.phases) {
    ETTIN_RETURN_IF_ERROR(checker.check(p.data, fmt::format("phases.{}.data", p.name)));
  }
  ETTIN_RETURN_IF_ERROR(checker.check(recipe.validation.data, "validation.data"));
  return std::move(checker).notes();
}

}  // namespace ettin
