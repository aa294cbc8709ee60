#include "formats/checkpoint_trail.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/file.h"
#include "formats/composer_checkpoint.h"

namespace ettin {
namespace {

constexpr std::string_view kLatest = "latest-rank0";

// Takes `prefix` and a number off the front of *text; nullopt when they are not there.
std::optional<int64_t> take_number(std::string_view prefix, std::string_view* text) {
  if (!text->starts_with(prefix)) return std::nullopt;
  const std::string_view digits = text->substr(prefix.size());
  int64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec != std::errc() || value < 0 || digits.front() == '-') return std::nullopt;
  *text = digits.substr(static_cast<size_t>(parsed.ptr - digits.data()));
  return value;
}

std::string_view stem(std::string_view name) { return name.substr(0, name.rfind('.')); }

TrailFile describe(std::string name) {
  TrailFile file;
  std::string_view rest = stem(name);
  const auto epoch = take_number("ep", &rest);
  const auto batch = epoch ? take_number("-ba", &rest) : take_number("ba", &rest);
  if (batch && (rest.empty() || rest == "-rank0")) {
    file.epoch = epoch;
    file.batch = batch;
  }
  file.name = std::move(name);
  return file;
}

bool of_another_rank(std::string_view name) {
  const size_t at = name.rfind("-rank");
  if (at == std::string_view::npos) return false;
  std::string_view rest = name.substr(at);
  const auto rank = take_number("-rank", &rest);
  return rank && *rank != 0;
}

std::string some_names(const std::vector<TrailFile>& trail) {
  constexpr size_t kShown = 5;
  std::vector<std::string> names;
  for (size_t i = trail.size() - std::min(kShown, trail.size()); i < trail.size(); ++i) {
    names.push_back(trail[i].name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

Result<std::vector<TrailFile>> list_trail(const std::string& directory) {
  ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> names, list_folder(directory, false));
  std::vector<TrailFile> trail;
  for (const std::string& name : names) {
    if (!is_checkpoint_name(name) || of_another_rank(stem(name))) continue;
    if (file_exists(join_path(directory, name))) trail.push_back(describe(name));
  }
  std::sort(trail.begin(), trail.end(), [](const TrailFile& a, const TrailFile& b) {
    if (a.batch != b.batch) return a.batch < b.batch;  // nullopt is the least
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.name < b.name;
  });
  return trail;
}

Result<TrailFile> newest(const std::vector<TrailFile>& trail, const std::string& directory) {
  if (!trail.empty() && (trail.back().batch || trail.size() == 1)) return trail.back();
  for (const TrailFile& file : trail) {
    if (stem(file.name) == kLatest) return file;
  }
  return Status(StatusCode::invalid_argument,
                trail.empty() ? fmt::format("{}: no checkpoints *.pt", directory)
                              : fmt::format("{}: {} checkpoints, and no name has a batch number",
                                            directory, trail.size()),
                trail.empty() ? "give a folder that holds one"
                              : fmt::format("name the file, such as {}",
                                            join_path(directory, trail.back().name)));
}

Result<TrailFile> choose(const std::vector<TrailFile>& trail, std::string_view which,
                         const std::string& directory) {
  std::optional<int64_t> epoch, batch;
  std::string_view rest = which;
  batch = take_number("", &rest);
  if (!batch) {
    epoch = take_number("ep", &rest);
    batch = epoch ? take_number("-ba", &rest) : take_number("ba", &rest);
  }
  const bool numbered = batch && rest.empty();
  for (size_t i = trail.size(); i-- > 0;) {
    const TrailFile& file = trail[i];
    if (file.name == which || stem(file.name) == which) return file;
    if (which == "latest" && stem(file.name) == kLatest) return file;
    if (numbered && file.batch == batch && (!epoch || file.epoch == epoch)) return file;
  }
  if (which == "latest") return newest(trail, directory);
  return Status(
      StatusCode::not_found,
      fmt::format("{}: no checkpoint \"{:.80}\" among {}", directory, which, trail.size()),
      fmt::format("write @baN, N a batch, or a file's name: {}{}", trail.size() > 5 ? "..., " : "",
                  some_names(trail)));
}

}  // namespace ettin
