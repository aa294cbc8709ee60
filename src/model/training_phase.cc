#include "model/training_phase.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace ettin {
namespace {

constexpr double kShort = 10000, kLong = 160000;

constexpr std::array<std::pair<std::string_view, Phase>, 8> kWords{{
    {"step", Phase::pre_training},
    {"pretrain", Phase::pre_training},
    {"pretraining", Phase::pre_training},
    {"pre-training", Phase::pre_training},
    {"pre_training", Phase::pre_training},
    {"ext", Phase::extension},
    {"extension", Phase::extension},
    {"decay", Phase::decay},
}};

constexpr std::array<std::string_view, 4> kCross{"enc-from-dec", "dec-from-enc",
                                                 "encoder-from-decoder", "decoder-from-encoder"};

// "17m" ... "1b", or "" for a shape that was not published.
std::string_view published_size(const ModelConfig& config) {
  for (const std::string_view size : {"17m", "32m", "68m", "150m", "400m", "1b"}) {
    const auto published = published_config(size, config.arm);
    if (published.ok() && published->num_layers == config.num_layers &&
        published->hidden_size == config.hidden_size) {
      return size;
    }
  }
  return "";
}

}  // namespace

std::string_view phase_name(Phase phase) {
  switch (phase) {
    case Phase::unknown:
      return "unknown";
    case Phase::pre_training:
      return "pre-training";
    case Phase::extension:
      return "extension";
    case Phase::decay:
      return "decay";
  }
  return "?";
}

std::string TrainingPhase::name() const {
  return std::string(cross_objective ? "cross-objective" : phase_name(phase));
}

Phase phase_of(std::string_view name) {
  for (const auto& [word, phase] : kWords) {
    if (!name.starts_with(word)) continue;
    const char next = name.size() > word.size() ? name[word.size()] : '.';
    if ((next >= '0' && next <= '9') || next == '-' || next == '_' || next == '.') return phase;
  }
  return Phase::unknown;
}

bool is_cross_objective(std::string_view name) {
  return std::any_of(kCross.begin(), kCross.end(), [&](std::string_view part) {
    return name.find(part) != std::string_view::npos;
  });
}

TrainingPhase phase_of_revision(std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  const std::string_view name = path.substr(path.rfind('/') + 1);
  TrainingPhase found;
  for (const std::string_view word : {"step", "ext", "decay"}) {
    const std::string_view digits = name.starts_with(word) ? name.substr(word.size()) : "";
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos)
      continue;
    found.phase = phase_of(name);
    found.said_by = fmt::format("the folder's name {}", name);
  }
  return found;
}

TrainingPhase phase_of_path(std::string_view path) {
  TrainingPhase found;
  while (!path.empty()) {
    const size_t slash = path.rfind('/');
    const std::string_view part = slash == std::string_view::npos ? path : path.substr(slash + 1);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
    const Phase phase = found.phase == Phase::unknown ? phase_of(part) : Phase::unknown;
    const bool cross = !found.cross_objective && is_cross_objective(part);
    if (phase == Phase::unknown && !cross) continue;
    if (phase != Phase::unknown) found.phase = phase;
    found.cross_objective = found.cross_objective || cross;
    found.said_by += fmt::format("{}{}", found.said_by.empty() ? "" : " and ", part);
  }
  if (found.known()) found.said_by = fmt::format("the name {} in the path", found.said_by);
  return found;
}

std::optional<Thetas> phase_thetas(const TrainingPhase& phase, const ModelConfig& config) {
  if (phase.cross_objective) return Thetas{kLong, kLong};
  const std::string_view size = published_size(config);
  switch (phase.phase) {
    case Phase::unknown:
      return std::nullopt;
    case Phase::pre_training:
      return Thetas{kShort, kShort};
    case Phase::extension:
      return Thetas{kLong, size == "17m" ? kShort : kLong};
    case Phase::decay: {
      const bool narrow = size == "17m" || size == "32m" || size == "68m" || size == "400m";
      return Thetas{kLong, config.arm == kDecoder && narrow ? kShort : kLong};
    }
  }
  return std::nullopt;
}

}  // namespace ettin
