#include "train/state_json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "train/hex.h"

namespace ettin {
namespace {

constexpr int64_t kVersion = 1;
constexpr size_t kMostNorms = 1'000'000;
constexpr int64_t kMost = int64_t{1} << 60;  // of a count: a step can be added without overflow

constexpr std::array<std::pair<const char*, int64_t TrainState::*>, 8> kCounts{{
    {"phase", &TrainState::phase},
    {"phase_step", &TrainState::phase_step},
    {"phase_tokens", &TrainState::phase_tokens},
    {"phase_sequences", &TrainState::phase_sequences},
    {"step", &TrainState::step},
    {"tokens", &TrainState::tokens},
    {"optimizer_step", &TrainState::optimizer_step},
    {"skipped_steps", &TrainState::skipped_steps},
}};

// "0x1.8p+3": every bit of it, and infinities.
std::string to_hex(double value) { return fmt::format("{:a}", value); }

std::optional<double> from_hex(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const bool digits = text.starts_with("0x");  // else "inf" or "nan"
  if (digits) text.remove_prefix(2);
  double value = 0;
  const auto read =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::hex);
  if (digits != std::isfinite(value) || text.starts_with('-') || read.ec != std::errc() ||
      read.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

Status bad(std::string_view where, std::string_view why) {
  return Status(StatusCode::bad_data, fmt::format("{}: {}", where, why), "use another checkpoint");
}

Status read_norms(const Json& json, std::string_view where, TrainState* state) {
  const Json* norms = json_member(json, "recent_norms");
  if (norms == nullptr || !norms->is_array() || norms->size() > kMostNorms) {
    return bad(where, fmt::format("\"recent_norms\" is not a list of at most {}", kMostNorms));
  }
  for (const Json& entry : *norms) {
    const auto value =
        entry.is_string() ? from_hex(entry.get_ref<const std::string&>()) : std::optional<double>();
    if (!value) {
      return bad(where, fmt::format("\"recent_norms\" holds {:.40}, which is not a hexadecimal "
                                    "floating number",
                                    dump_json(entry)));
    }
    state->recent_norms.push_back(*value);
  }
  return {};
}

}  // namespace

std::string state_to_json(const CheckpointIdentity& identity, const TrainState& state) {
  Json json = {
      {"version", kVersion}, {"arm", identity.arm.name}, {"recipe_sha256", identity.recipe_hash}};
  for (const auto& [name, member] : kCounts) json[name] = state.*member;
  json["data_chain"] = state.data_chain;
  Json norms = Json::array();
  for (const double norm : state.recent_norms) norms.push_back(to_hex(norm));
  json["recent_norms"] = std::move(norms);
  return dump_json(json, 2) + "\n";
}

Result<StateFile> state_from_json(std::string_view text, std::string_view where) {
  JsonLimits limits;
  limits.max_depth = 3;
  ETTIN_ASSIGN_OR_RETURN(const Json json, parse_json(text, where, limits));
  ETTIN_ASSIGN_OR_RETURN(const auto version, json_get<int64_t>(json, "version", where));
  if (version != kVersion) {
    return Status(
        StatusCode::unsupported,
        fmt::format("{}: version {} of the format; this build reads {}", where, version, kVersion),
        "use the version of ettin that wrote it");
  }
  StateFile file;
  ETTIN_ASSIGN_OR_RETURN(file.arm, json_get<std::string>(json, "arm", where));
  ETTIN_ASSIGN_OR_RETURN(file.recipe_hash, json_get<std::string>(json, "recipe_sha256", where));
  for (const auto& [name, member] : kCounts) {
    ETTIN_ASSIGN_OR_RETURN(const auto count, json_get<int64_t>(json, name, where));
    if (count < 0 || count > kMost) return bad(where, fmt::format("\"{}\" is {}", name, count));
    file.state.*member = count;
  }
  ETTIN_ASSIGN_OR_RETURN(file.state.data_chain, json_get<std::string>(json, "data_chain", where));
  if (!file.state.data_chain.empty() && !is_sha256_hex(file.state.data_chain)) {
    return bad(where, "\"data_chain\" is not a SHA-256 in hexadecimal digits");
  }
  ETTIN_RETURN_IF_ERROR(read_norms(json, where, &file.state));
  return file;
}

}  // namespace ettin
