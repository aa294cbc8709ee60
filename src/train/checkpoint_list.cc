// Which checkpoints a folder holds, which one to go on from, and which may go.
#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "train/checkpoint.h"
#include "train/checkpoint_name.h"
#include "train/checksums.h"
#include "train/durable_folder.h"
#include "train/state_json.h"

namespace ettin {
namespace {

constexpr size_t kDigits = 7, kMostDigits = 18, kMostTag = 40;
constexpr size_t kMostStateBytes = size_t{64} << 20;
constexpr int64_t kUnknownStep = std::numeric_limits<int64_t>::max();

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Folders with a checkpoint's name, oldest first. Where nothing says the step the folder counts as
// the newest: what is damaged should be reported, not passed over.
Result<std::vector<FoundCheckpoint>> list_all(const std::string& folder) {
  ETTIN_ASSIGN_OR_RETURN(const auto names, list_folder(folder, false));
  std::vector<FoundCheckpoint> found;
  for (const std::string& name : names) {
    const auto tag = tag_of_checkpoint(name);
    const std::string path = join_path(folder, name);
    if (!tag || !directory_exists(path)) continue;
    const auto checksums = read_checksums(path);
    found.push_back({path, *tag, checksums.ok() ? checksums->step : kUnknownStep});
  }
  std::sort(found.begin(), found.end(), [](const FoundCheckpoint& a, const FoundCheckpoint& b) {
    return std::pair(a.step, a.path) < std::pair(b.step, b.path);
  });
  return found;
}

// Every file is as checksums.json says.
bool is_whole(const FoundCheckpoint& checkpoint) {
  const auto checksums = read_checksums(checkpoint.path);
  return checksums.ok() && open_checked(checkpoint.path, *checksums).ok();
}

// Whether the state says another arm or recipe: no older checkpoint of the run would do either.
bool is_foreign(const std::string& path, const CheckpointIdentity& identity) {
  const std::string state = join_path(path, "training_state.json");
  const auto text = read_file(state, kMostStateBytes);
  if (!text.ok()) return false;
  const auto file = state_from_json(*text, state);
  return file.ok() && (file->arm != identity.arm.name || file->recipe_hash != identity.recipe_hash);
}

}  // namespace

std::string checkpoint_name(std::string_view tag, int64_t phase_step) {
  return fmt::format("{}{:0{}}", tag, phase_step, kDigits);
}

bool is_checkpoint_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kMostTag && tag[0] != '-' &&
         std::all_of(tag.begin(), tag.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
         });
}

std::optional<std::string> tag_of_checkpoint(std::string_view name) {
  size_t tag = name.size();
  while (tag > 0 && is_digit(name[tag - 1])) --tag;
  const size_t digits = name.size() - tag;
  if (digits < kDigits || digits > kMostDigits || !is_checkpoint_tag(name.substr(0, tag))) {
    return std::nullopt;
  }
  return std::string(name.substr(0, tag));
}

Result<std::vector<FoundCheckpoint>> list_checkpoints(const std::string& folder, bool clean) {
  if (clean) ETTIN_RETURN_IF_ERROR(remove_left_overs(folder));
  ETTIN_ASSIGN_OR_RETURN(std::vector<FoundCheckpoint> found, list_all(folder));
  std::erase_if(found, [](const FoundCheckpoint& c) { return c.step == kUnknownStep; });
  return found;
}

Result<std::optional<FoundCheckpoint>> resume_from_newest(const std::string& folder,
                                                          const ModelConfig& config,
                                                          const CheckpointIdentity& identity,
                                                          TrainState* state, TrainTensors* tensors,
                                                          std::vector<std::string>* warnings) {
  ETTIN_RETURN_IF_ERROR(remove_left_overs(folder));
  ETTIN_ASSIGN_OR_RETURN(std::vector<FoundCheckpoint> found, list_all(folder));
  std::vector<std::string> refused;
  Status last;
  for (auto at = found.rbegin(); at != found.rend(); ++at) {
    const Status status = read_checkpoint(at->path, config, identity, state, tensors);
    if (status.ok()) {
      for (const std::string& why : refused) {
        warnings->push_back(
            fmt::format("{}; going on from {} instead, step {}", why, at->path, state->step));
      }
      return std::optional(*at);
    }
    const bool checked = status.code() == StatusCode::invalid_argument;  // and so not damage
    if (checked && is_foreign(at->path, identity)) return status;
    refused.push_back(status.message());
    last = status;
  }
  if (refused.empty()) return std::optional<FoundCheckpoint>();
  warnings->insert(warnings->end(), refused.begin(), refused.end());
  return Status(StatusCode::bad_data,
                fmt::format("{}: none of {} checkpoints can be used; the oldest: {}", folder,
                            refused.size(), last.message()),
                "copy one that is whole there, or start again in a new run folder");
}

Status apply_retention(const std::string& folder, int64_t keep) {
  if (keep <= 0) return {};
  ETTIN_ASSIGN_OR_RETURN(const std::vector<FoundCheckpoint> found, list_checkpoints(folder, false));
  std::map<std::string, size_t> last_of_tag;
  for (size_t i = 0; i < found.size(); ++i) last_of_tag[found[i].tag] = i;
  std::vector<FoundCheckpoint> stay, go;  // newest first
  for (size_t i = found.size(); i-- > 0;) {
    const bool kept =
        found.size() - i <= static_cast<size_t>(keep) || last_of_tag[found[i].tag] == i;
    (kept ? stay : go).push_back(found[i]);
  }
  // One that is whole stays, whatever happened to the newer ones.
  if (go.empty() || std::any_of(stay.begin(), stay.end(), is_whole)) {
    // as counted
  } else if (const auto whole = std::find_if(go.begin(), go.end(), is_whole); whole != go.end()) {
    go.erase(whole);
  }
  for (const FoundCheckpoint& checkpoint : go) {
    ETTIN_RETURN_IF_ERROR(
        remove_durably(folder, checkpoint.path.substr(checkpoint.path.rfind('/') + 1)));
  }
  return {};
}

}  // namespace ettin
